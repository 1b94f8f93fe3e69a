//! The command line: a token is shown to nobody on its way.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use crate::stand::Stand;

/// Runs a command that speaks to the service, with these variables in its environment.
fn run(url: &str, token_file: &Path, environment: &[(&str, &str)], args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chancery"))
        .args(args)
        .args(["--url", url, "--token-file"])
        .arg(token_file)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

#[tokio::test]
async fn a_token_passes_no_proxy_and_no_network_in_clear_text() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let file = stand.deployment.dir.write("token", &stand.operator.token);
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let through = [
        ("http_proxy", &*address),
        ("HTTP_PROXY", &address),
        ("all_proxy", &address),
        ("ALL_PROXY", &address),
    ];
    let port = stand.server.base.rsplit(':').next().unwrap();
    for url in [
        stand.server.base.clone(),
        format!("http://localhost:{port}"),
    ] {
        let listed = run(&url, &file, &through, &["callers", "list"]);
        assert!(listed.status.success(), "{url}: {listed:?}");
    }
    let away = run(
        "http://192.0.2.1:7300",
        &file,
        &through,
        &["callers", "list"],
    );
    assert!(!away.status.success());
    let said = String::from_utf8_lossy(&away.stderr).into_owned();
    assert!(said.contains("in clear text: say https"), "{said}");
    let came = proxy.accept().map(|_| ());
    assert_eq!(came.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
