use super::*;

#[test]
fn a_data_directory_has_one_user_at_a_time() {
    let scratch = super::super::scratch();
    let path = scratch.path().join("data");
    let first = DataDir::open(&path).unwrap();
    let held = first.hold().unwrap();

    let refused = DataDir::open(&path).unwrap_err().to_string();
    assert!(refused.contains("another `chancery dev`"), "{refused}");
    drop(first);
    DataDir::open(&path).unwrap_err();
    drop(held);
    DataDir::open(&path).unwrap();
}

#[test]
fn a_directory_in_which_others_could_have_planted_something_is_refused() {
    use std::os::unix::fs::{chown, symlink};
    let scratch = super::super::scratch();
    let path = scratch.path().join("data");
    let data = DataDir::open(&path).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
    assert_eq!(mode(&path.join("lock")), 0o600);
    drop(data);
    let refused = |what: &str| {
        let refused = DataDir::open(&path).map(drop);
        let refused = refused.expect_err(what).to_string();
        assert!(refused.contains(what), "{what}: {refused}");
    };
    let chmod = |path: &Path, mode| {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };

    // The directory, and one above it.
    let kept = mode(&path);
    for wrong in [0o777, 0o770, 0o1777] {
        chmod(&path, wrong);
        refused("others can write");
    }
    chmod(&path, kept);
    let above = mode(scratch.path());
    chmod(scratch.path(), 0o777);
    refused("others can write");
    chmod(scratch.path(), above);
    DataDir::open(&path).unwrap();

    // What lies in it, at any depth.
    let policy = path.join("policy.cedar");
    std::fs::write(&policy, "").unwrap();
    chmod(&policy, 0o666);
    refused("mode 666");
    chmod(&policy, 0o600);
    std::fs::create_dir(path.join("token")).unwrap();
    let pin = path.join("token/pin");
    symlink("/etc/hostname", &pin).unwrap();
    refused("is a link");
    std::fs::remove_file(&pin).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(&policy, Some(65_534), None).unwrap();
        refused("belongs to user 65534");
        chown(&policy, Some(0), None).unwrap();
        chown(&path, Some(65_534), None).unwrap();
        refused("belongs to user 65534");
        chown(&path, Some(0), None).unwrap();
    }
    DataDir::open(&path).unwrap();

    // A lock that is a link would be made, or emptied, where it points.
    std::fs::remove_file(path.join("lock")).unwrap();
    let elsewhere = scratch.path().join("elsewhere");
    symlink(&elsewhere, path.join("lock")).unwrap();
    refused("cannot write in the data directory");
    assert!(!elsewhere.exists());
}

#[test]
fn the_state_directory_is_absolute() {
    let home = Some(PathBuf::from("/home/ada"));
    let of = |xdg: &str| state_dir(Some(xdg.into()), home.clone()).unwrap();
    assert_eq!(of("/srv/state"), Path::new("/srv/state"));
    assert_eq!(of("state"), Path::new("/home/ada/.local/state"));
    assert_eq!(of(""), Path::new("/home/ada/.local/state"));
    assert_eq!(state_dir(None, None), None);
}
