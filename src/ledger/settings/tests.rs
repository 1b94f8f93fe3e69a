use super::*;

fn servers(toml: &str) -> Result<Servers, String> {
    let settings: Settings = toml::from_str(toml).map_err(|error| error.to_string())?;
    settings.servers(None).map_err(|error| error.to_string())
}

#[test]
fn several_hosts_are_one_ledger() {
    let several = "postgres://u@one.example:5433,two.example,%2Frun%2Fpg/c?sslmode=verify-full";
    let servers = servers(&format!("url = \"{several}\"")).unwrap();
    let hosts: Vec<_> = (0..3).map(|at| servers.host(at)).collect();
    assert_eq!(hosts, ["one.example:5433", "two.example:5432", "/run/pg"]);
    // Each of them is looked at.
    for unfit in [
        "u@%2Frun%2Fpg,db.example/c",
        "u@db.example,/c?sslmode=verify-full",
    ] {
        let error = self::servers(&format!("url = \"postgres://{unfit}\"")).unwrap_err();
        assert!(error.starts_with("[ledger] url: "), "{unfit}: {error}");
    }
}

#[test]
fn a_password_travels_under_a_verified_name_only() {
    let plain = "accept_plain_loopback = true";
    for (url, more) in [
        ("postgres://u@db.example/c?sslmode=verify-full", ""),
        (
            "postgres://u@127.0.0.1/c?sslmode=verify-full&sslrootcert=/ca.pem",
            "",
        ),
        ("postgres:///c?host=/run/postgresql", ""),
        ("postgres://%2Frun%2Fpostgresql/c", ""),
        ("postgres://u@127.0.0.1:5433/c", plain),
        ("postgres://u@[::1]/c?sslmode=disable", plain),
        ("postgres://u@localhost/c?sslmode=prefer", plain),
    ] {
        let read = servers(&format!("url = \"{url}\"\n{more}"));
        assert!(read.is_ok(), "{url}: {read:?}");
    }
    for mode in [
        "",
        "?sslmode=disable",
        "?sslmode=allow",
        "?sslmode=prefer",
        "?sslmode=require",
        "?sslmode=verify-ca",
    ] {
        for (host, more, says) in [
            (
                "db.example",
                plain,
                "the connection to db.example would not be protected: add sslmode=verify-full",
            ),
            ("10.0.0.1", plain, "sslrootcert"),
            ("localhost.example", plain, "verify-full"),
            ("127.0.0.1.example", plain, "verify-full"),
            ("127.0.0.1", "", "or set accept_plain_loopback = true"),
            ("localhost", "", "or set accept_plain_loopback = true"),
        ] {
            let error =
                servers(&format!("url = \"postgres://u@{host}/c{mode}\"\n{more}")).unwrap_err();
            assert!(error.starts_with("[ledger] url: "), "{host}{mode}: {error}");
            assert!(error.contains(says), "{host}{mode}: {error}");
        }
    }
}

#[test]
fn what_would_wait_for_ever_or_never_is_refused() {
    for wrong in [
        "lock_timeout_ms = 0",
        "lock_timeout_ms = 3000",
        "connections = 0",
    ] {
        let error = servers(&format!("url = \"postgres:///c?host=/run\"\n{wrong}")).unwrap_err();
        assert!(error.contains("is not within"), "{wrong}: {error}");
    }
}
