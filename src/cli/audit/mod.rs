//! `chancery audit`

mod export;
mod offline;
mod pack;
mod reconcile;
mod recover;
mod search;

use std::path::PathBuf;

use clap::Subcommand;

use super::client::Service;
use super::destination::Destination;
use super::print_json;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the log's name, its key, and the newest published checkpoint
    Log {
        #[command(flatten)]
        service: Service,
    },
    /// Search it: what was signed, handed out, refused and changed, the newest first
    Search(Box<search::Filters>),
    /// Say what an id, digest, address, order hash, jti, API key, nonce or name is
    What {
        /// What you have in hand.
        text: String,
        #[command(flatten)]
        service: Service,
    },
    /// List who could sign with a key at a moment, by which rules and grants
    Signers {
        /// The key's name.
        key: String,
        /// The moment: 2026-11-30T12:00:00Z. Now unless it is given.
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
        #[command(flatten)]
        service: Service,
    },
    /// Write a proof that a signature is in the log, as a .tlog-proof file that verifies offline
    Prove {
        /// The id of the signature's answer.
        id: String,
        /// Of what was to be signed, in place of how it ended.
        #[arg(long)]
        intent: bool,
        /// Where to put it; standard output unless it is said.
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        service: Service,
    },
    /// Verify a .tlog-proof file, without network and database, and show the leaf
    VerifyProof {
        /// The proof.
        file: PathBuf,
        #[command(flatten)]
        trust: offline::Trust,
    },
    /// Write all leaves that the newest checkpoint covers to a file; with --until, an evidence pack to a folder
    Export {
        /// A new file or folder; one that an interrupted export left is gone on with.
        file: PathBuf,
        /// The first moment of a pack: 2026-10-01T00:00:00Z. From the beginning unless it is given.
        #[arg(long, value_name = "TIME", requires = "until")]
        from: Option<String>,
        /// The last moment of a pack, at least ten seconds ago.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        #[command(flatten)]
        service: Service,
    },
    /// Verify an export or a pack, without network and database, and print what was found
    Verify {
        /// The export's file, or the pack's folder.
        file: PathBuf,
        #[command(flatten)]
        trust: offline::Trust,
        /// A checkpoint that was kept elsewhere: without one, an export does not show that its end was cut.
        #[arg(long, value_name = "FILE")]
        checkpoint: Vec<PathBuf>,
        /// Answers that callers have kept, a line for each as it came: the log has to have released them so.
        #[arg(long, value_name = "FILE")]
        answers: Option<PathBuf>,
    },
    /// Hold an export against what devices say of themselves, and name what was signed behind the service's back
    Reconcile(reconcile::Reconcile),
    /// Go on with a database that is older than what was published, on the word of two people
    Recover(recover::Recover),
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Log { service } => print_json(&service.client()?.get("/v1/log").await?),
        Command::Search(filters) => search::run(&filters).await,
        Command::What { text, service } => search::what(&service.client()?, &text).await,
        Command::Signers { key, at, service } => {
            search::signers(&service.client()?, &key, at.as_deref()).await
        }
        Command::Prove {
            id,
            intent,
            out,
            service,
        } => {
            let out = Destination::open(out.as_deref())?;
            let path = format!("/v1/signatures/{id}/proofs");
            let proofs = service.client()?.get(&path).await?;
            out.write(&offline::choose(&proofs, intent)?)
        }
        Command::VerifyProof { file, trust } => offline::verify_proof(&file, &trust),
        Command::Export {
            file,
            from,
            until,
            service,
        } => {
            let client = service.client()?;
            match until.as_deref() {
                Some(until) => {
                    let from = from.as_deref();
                    pack::run(&client, &file, &pack::Times { from, until }).await
                }
                None => export::run(&client, &file).await,
            }
        }
        Command::Verify {
            file,
            trust,
            checkpoint,
            answers,
        } => offline::verify(&file, &trust, &checkpoint, answers.as_deref()),
        Command::Reconcile(asked) => reconcile::run(&asked),
        Command::Recover(asked) => recover::run(&asked).await,
    }
}
