use secrecy::ExposeSecret as _;

use super::super::super::dev::scratch;
use super::*;

#[test]
fn a_file_is_written_once_and_for_its_owner() {
    let scratch = scratch();
    let files = Files {
        service_dir: scratch.path().to_owned(),
        owner_dir: scratch.path().to_owned(),
        group: None,
    };
    let path = files.services("db.password");
    let first = files.password_once(&path, true).unwrap();
    assert_eq!(first.expose_secret().len(), 48);
    let again = files.password_once(&path, true).unwrap();
    assert_eq!(first.expose_secret(), again.expose_secret());
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let pin = files.pin_once(&files.owners("pin"), false).unwrap();
    assert!(pin.expose_secret().bytes().all(|it| it.is_ascii_digit()));
    assert_eq!(pin.expose_secret().len(), 16);
}

#[test]
fn a_group_is_found_by_its_name() {
    assert_eq!(group_id("root").unwrap(), Some(0));
    assert_eq!(group_id("no-such-group").unwrap(), None);
}
