//! `chancery audit recover`

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::app::App;
use crate::approvals::document;
use crate::approvals::signature::Signature;
use crate::cli::{ConfigFile, print_line, remark};
use crate::clock::Clock;
use crate::evidence::Recovery;

#[derive(Debug, Args)]
pub(in crate::cli) struct Recover {
    /// The signature of a person who agrees, over the hash that is shown without any: ssh-keygen -Y sign -n
    /// chancery-approval. Of two people at least.
    #[arg(long = "signature", value_name = "FILE")]
    signatures: Vec<PathBuf>,
    /// There are no approvers, and one operator may loosen alone: nobody signs.
    #[arg(long, conflicts_with = "signatures")]
    accept_single_operator: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) async fn run(asked: &Recover) -> anyhow::Result<()> {
    let config = asked.config.load()?;
    let ledger = App::ledger(&config)?;
    ledger.check_schema().await?;
    let sealing = App::keyring(&config)?;
    let settings = (&config.evidence, &config.approvals);
    let recovery = Recovery::of(settings.0, settings.1, ledger.clone(), &sealing).await?;
    let Some(recovery) = recovery else {
        remark("The database has all that was published: there is nothing to recover from.");
        return Ok(());
    };
    if asked.signatures.is_empty() && !asked.accept_single_operator {
        let hash = hex::encode(document::hash(recovery.document()));
        print_line(recovery.document());
        remark(&format!(
            "\nTwo people sign for this, each with a key that is on record here:\n\n    \
             echo {hash} | ssh-keygen -Y sign -n chancery-approval -f KEY > NAME.sig\n\n\
             then: chancery audit recover --signature ANN.sig --signature BOB.sig"
        ));
        return Ok(());
    }
    let read = |file: &PathBuf| {
        let text = std::fs::read_to_string(file);
        text.with_context(|| format!("cannot read {}", file.display()))
    };
    let signatures = asked
        .signatures
        .iter()
        .map(|file| read(file).map(Signature::Ssh));
    let signatures = signatures.collect::<anyhow::Result<Vec<_>>>()?;
    let log = App::log(&config, ledger, Clock::system()).await?;
    recovery.recover(&signatures, &log).await?;
    remark("It is on record, and a new checkpoint is published: chancery serve starts.");
    Ok(())
}
