//! `chancery custody`

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Client, Service};
use super::{ConfigFile, print_line, table};
use crate::app::App;
use crate::approvals::Approval;
use crate::audit::Author;
use crate::clock::Clock;
use crate::config::Config;
use crate::custody;
use crate::custody::pkcs11::{PinChange, Pkcs11};
use crate::keys::Justification;
use crate::ledger::Gate;
use crate::name::Name;
use crate::sealing::SealingKey;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the devices, their sealing keys, and how much rests under each
    List {
        #[command(flatten)]
        service: Service,
    },
    /// Make a file with a new key, for [sealing] or the keystore's master key
    NewKeyFile {
        /// The file, which must not be there yet.
        file: PathBuf,
    },
    /// Seal all that rests in a device anew, under the key that seals now
    Reseal {
        /// The device: the name of a [custody.NAME] section.
        device: Name,
        #[command(flatten)]
        service: Service,
    },
    /// The same for the answers that are kept under [sealing] `key_file`
    ResealAnswers {
        #[command(flatten)]
        service: Service,
    },
    /// Have a device make a new sealing key; the former ones still open
    NewSealingKey {
        /// The device: the name of a [custody.NAME] section.
        device: Name,
        #[command(flatten)]
        why: Justification,
        #[command(flatten)]
        service: Service,
    },
    /// Change a token's user PIN, on its host: in the token, and then in the PIN file
    ChangePin {
        /// The device: the name of a [custody.NAME] section.
        device: Name,
        /// The file with the new PIN.
        #[arg(long, value_name = "FILE")]
        new_pin_file: PathBuf,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Have a device destroy a former sealing key, under which nothing rests any more
    DestroySealingKey {
        /// The device: the name of a [custody.NAME] section.
        device: Name,
        /// The key's id, as `list` has it.
        id: String,
        #[command(flatten)]
        why: Justification,
        #[command(flatten)]
        service: Service,
    },
}

/// Changes a PIN, on record before the token hears of it.
async fn change_pin(device: &Name, new: PathBuf, config: &Config) -> anyhow::Result<()> {
    let Some(custody::Settings::Pkcs11(settings)) = config.custody.get(device) else {
        bail!("there is no section [custody.{device}] of a PKCS#11 token");
    };
    let ledger = App::ledger(config)?;
    ledger.check_schema().await?;
    let log = App::log(config, ledger, Clock::system()).await?;
    let mut change = log.begin(Gate::Shared, &Author::service()).await?;
    let details = json!({ "device": device, "writer": App::writer(config) });
    change.note_as(Approval::by_right(), "change-pin", Uuid::now_v7(), &details);
    change.commit().await?;
    let file = settings.pin_file.display();
    match Pkcs11::change_pin(settings.clone(), new).await? {
        PinChange::Made => print_line(&format!("the token has the new PIN, and so has {file}")),
        PinChange::Finished => print_line(&format!(
            "the token had the new PIN already, from a change that was cut off; {file} has it now too"
        )),
    }
    print_line(&format!(
        "put {file} on the other hosts now: replicas stay logged in, and read it when they log in again"
    ));
    Ok(())
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { service } => list(&service.client()?).await,
        Command::NewKeyFile { file } => {
            let key = SealingKey::create_file(&file)
                .with_context(|| format!("cannot make {}", file.display()))?;
            print_line(&format!("{} holds key {}", file.display(), key.id()));
            Ok(())
        }
        Command::Reseal { device, service } => {
            let client = service.client()?;
            reseal(&client, &format!("/v1/custody/{device}/reseal")).await?;
            list(&client).await
        }
        Command::ResealAnswers { service } => {
            let client = service.client()?;
            reseal(&client, "/v1/sealing/reseal").await?;
            list(&client).await
        }
        Command::NewSealingKey {
            device,
            why,
            service,
        } => {
            let path = format!("/v1/custody/{device}/sealing-keys");
            service.ask(&path, &why).await
        }
        Command::ChangePin {
            device,
            new_pin_file,
            config,
        } => change_pin(&device, new_pin_file, &config.load()?).await,
        Command::DestroySealingKey {
            device,
            id,
            why,
            service,
        } => {
            let path = format!("/v1/custody/{device}/sealing-keys/{id}/destruction");
            service.ask(&path, &why).await
        }
    }
}

/// Goes through all stretches. Stopped at any time, it is begun anew.
async fn reseal(client: &Client, path: &str) -> anyhow::Result<()> {
    let (mut resealed, mut stuck) = (0, 0);
    let mut after = Value::Null;
    loop {
        let step = client.post(path, &json!({ "after": after })).await?;
        resealed += step["resealed"].as_u64().unwrap_or(0);
        match &step["stuck"] {
            Value::Array(list) => {
                for it in list {
                    print_line(&format!(
                        "STUCK  {}: {}",
                        table::cell(&it["id"]),
                        table::cell(&it["why"])
                    ));
                }
                stuck += u64::try_from(list.len())?;
            }
            count => stuck += count.as_u64().unwrap_or(0),
        }
        if step["next"].is_null() {
            break;
        }
        if step["next"] == after {
            bail!("the service does not go on");
        }
        after = step["next"].clone();
        print_line(&format!("{resealed} sealed anew so far"));
    }
    print_line(&format!("{resealed} sealed anew, {stuck} could not be"));
    Ok(())
}

/// What rests where, and which former keys can go.
async fn list(client: &Client) -> anyhow::Result<()> {
    let all = client.get("/v1/custody").await?;
    let mut rows = Vec::new();
    let mut push = |device: &str, key: &Value, rests: i64| {
        let seals = key["seals"] == true;
        let advice = match (seals, rests, key["id"].is_null()) {
            (true, _, _) => "seals",
            (false, 0, _) => "former: nothing rests under it, it can go",
            (false, _, false) => "former: reseal",
            (false, _, true) => {
                "under no key that is there: reseal; if it is stuck, its key is missing"
            }
        };
        rows.push(vec![
            device.to_owned(),
            table::cell(&key["id"]),
            rests.to_string(),
            advice.to_owned(),
        ]);
    };
    let count = |value: &Value| value.as_i64().unwrap_or(0);
    for key in all["service"].as_array().into_iter().flatten() {
        push("(the service's answers)", key, count(&key["answers"]));
    }
    for device in all["devices"].as_array().into_iter().flatten() {
        let name = table::cell(&device["name"]);
        for key in device["sealing_keys"].as_array().into_iter().flatten() {
            push(&name, key, count(&key["keys"]) + count(&key["secrets"]));
        }
    }
    table::print(&["device", "sealing key", "rests", "state"], &rows);
    for device in all["devices"].as_array().into_iter().flatten() {
        if let Some(trouble) = device["trouble"].as_str() {
            print_line(&format!(
                "WRONG  {}: {trouble}",
                table::cell(&device["name"])
            ));
        }
    }
    Ok(())
}
