use super::*;

#[test]
fn the_version_is_read_from_what_postgres_says() {
    assert_eq!(
        major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"),
        Some(15)
    );
    assert_eq!(major("postgres (PostgreSQL) 18beta2\n"), Some(18));
    assert_eq!(major("postgres (PostgreSQL) devel"), None);
    assert_eq!(major(""), None);
}

#[test]
fn the_newest_server_is_taken_unless_the_cluster_has_a_version() {
    let all = [9, 100, 17, 15].map(|v| (v, PathBuf::from(format!("/{v}"))));
    assert_eq!(choose(&all, None).unwrap().0, 100);
    assert_eq!(choose(&all, Some(15)).unwrap().0, 15);
    assert_eq!(choose(&all, Some(16)), None);
    assert_eq!(choose(&all[..1], None), None);

    let twins = [(17, PathBuf::from("/first")), (17, PathBuf::from("/last"))];
    assert_eq!(choose(&twins, None).unwrap().1, Path::new("/first"));
}

#[test]
fn what_to_install_is_said() {
    assert!(missing(&[]).contains("not installed: install version 14"));
    assert!(missing(&[(13, PathBuf::new())]).contains("13 is installed, which is too old"));
}
