use super::*;

#[test]
fn the_program_starts_itself_anew_once() {
    let ours = OsStr::new("/data/token/softhsm2.conf");
    let step = |current: Option<&str>, entered: Option<&str>| {
        step(ours, current.map(OsStr::new), entered.map(OsStr::new))
    };
    let path = ours.to_str();
    assert_eq!(step(path, None).unwrap(), Step::Go);
    assert_eq!(step(path, path).unwrap(), Step::Go);
    assert_eq!(step(None, None).unwrap(), Step::Restart);
    assert_eq!(step(Some("/etc/softhsm"), None).unwrap(), Step::Restart);
    // Below a run on another data directory.
    assert_eq!(step(Some("/b"), Some("/b")).unwrap(), Step::Restart);
    step(Some("/etc/softhsm"), path).unwrap_err();
    step(None, path).unwrap_err();
}

#[test]
fn a_path_that_the_configuration_cannot_hold_is_refused() {
    let text = configuration(Path::new("/a b/tokens")).unwrap();
    assert!(text.starts_with(b"directories.tokendir = /a b/tokens\n"));
    configuration(Path::new("/a#b/tokens")).unwrap_err();
    configuration(Path::new("/a\nlog.level = DEBUG/tokens")).unwrap_err();
}

#[test]
fn pins_are_kept_and_closed_to_others() {
    if !super::super::can_run(
        "SoftHSM2",
        MODULES.iter().any(|path| Path::new(path).exists()),
    ) {
        return;
    }
    let scratch = super::super::scratch();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;

    let first = SoftToken::prepare(scratch.path()).unwrap();
    let pin = read(&first.pin_file);
    assert_eq!(pin.len(), 32);
    assert_ne!(pin, read(&first.so_pin_file));
    for file in [&first.pin_file, &first.so_pin_file, &first.conf] {
        assert_eq!(mode(file), 0o600);
    }
    assert_eq!(mode(first.conf.parent().unwrap()), 0o700);

    let second = SoftToken::prepare(scratch.path()).unwrap();
    assert_eq!(read(&second.pin_file), pin);
}
