//! A token's PIN is changed, and nobody is locked out wherever that stops.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output};

use crate::device_sealing::Token;
use crate::stand::refused;
use crate::support::{Answer, order};

/// `chancery custody change-pin hsm`, with these variables in its environment.
fn change(token: &Token, new: &str, environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chancery"))
        .args(["custody", "change-pin", "hsm", "--new-pin-file"])
        .arg(token.deployment.dir.write("new.pin", new))
        .arg("--config")
        .arg(token.deployment.file("config.toml"))
        .env("SOFTHSM2_CONF", &token.conf)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

async fn sign(token: &Token) -> Answer {
    token.trader.post("/v1/wallets/h-w/orders", &order()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_is_changed_under_a_running_service_and_a_change_that_was_cut_off_is_finished() {
    let Some(mut token) = Token::open().await else {
        return;
    };
    let config = std::fs::read_to_string(token.deployment.file("config.toml")).unwrap();
    let file = config
        .lines()
        .find_map(|line| line.trim().strip_prefix("pin_file = \""))
        .unwrap();
    let file = file.trim_end_matches('"');
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o640)).unwrap();

    let changed = said(&change(&token, "new-pin-1\n", &[]));
    assert!(
        changed.contains("the token has the new PIN, and so has"),
        "{changed}"
    );
    assert_eq!(std::fs::read_to_string(file).unwrap(), "new-pin-1\n");
    assert_eq!(std::fs::metadata(file).unwrap().mode() & 0o777, 0o640);
    // Who is logged in stays so; who logs in reads the file.
    assert_eq!(sign(&token).await.status, 200);
    token.restart().await;
    assert_eq!(sign(&token).await.status, 200);
    let same = change(&token, "new-pin-1", &[]);
    assert!(!same.status.success(), "{same:?}");

    // Killed between the token and the file: the file is behind, and is said so once.
    let cut = change(&token, "new-pin-2", &[("CHANCERY_FAIL_POINT", "pin-set:1")]);
    assert_eq!(cut.status.signal(), Some(9), "{cut:?}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "new-pin-1\n");
    assert_eq!(sign(&token).await.status, 200, "it is logged in");
    token.restart().await;
    for _ in 0..5 {
        let behind = sign(&token).await;
        refused(
            "behind",
            &behind,
            503,
            "device-unavailable",
            "needs an operator",
        );
    }
    token.server.heard("the token refused the PIN").await;
    let tried = token
        .server
        .log()
        .matches("the token refused the PIN")
        .count();
    assert_eq!(tried, 1, "{}", token.server.log());

    // Neither the old one nor this one: nothing is changed.
    let wrong = change(&token, "new-pin-3", &[]);
    assert!(!wrong.status.success(), "{wrong:?}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "new-pin-1\n");

    let finished = said(&change(&token, "new-pin-2", &[]));
    assert!(finished.contains("had the new PIN already"), "{finished}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "new-pin-2\n");
    // The service goes on by itself.
    let signed = sign(&token).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    for secret in ["new-pin-1", "new-pin-2", "new-pin-3"] {
        assert!(!token.server.log().contains(secret), "{secret}");
    }
}
