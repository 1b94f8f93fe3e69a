use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};

use super::*;
use crate::cli::dev::scratch;

#[test]
fn what_others_may_write_is_not_taken() {
    let scratch = scratch();
    let path = scratch.path().join("pin");
    std::fs::write(&path, "1234").unwrap();
    for (mode, private) in [(0o400, true), (0o640, true), (0o644, false), (0o660, false)] {
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(read_private(&path).is_ok(), private, "{mode:o}");
    }
    for (mode, taken) in [
        (0o400, true),
        (0o600, true),
        (0o640, true),
        (0o644, true),
        (0o660, false),
        (0o620, false),
        (0o602, false),
        (0o666, false),
    ] {
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(read_secret(&path).is_ok(), taken, "{mode:o}");
        assert_eq!(read_rules(&path).is_ok(), taken, "{mode:o}");
    }
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(*read_secret(&path).unwrap(), "1234");
    if rustix::process::geteuid().is_root() {
        chown(&path, Some(65_534), None).unwrap();
        let refused = read_secret(&path).unwrap_err().to_string();
        assert!(refused.contains("65534"), "{refused}");
        assert!(read_rules(&path).is_err());
    }
}
