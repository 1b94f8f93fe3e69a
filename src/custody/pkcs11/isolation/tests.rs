use super::*;

fn token(module: &str, isolated: bool) -> Settings {
    let text =
        format!("module = '{module}'\ntoken_label = 'w'\npin_file = '/p'\nisolated = {isolated}\n");
    toml::from_str(&text).unwrap()
}

#[test]
fn one_module_can_be_isolated_and_its_path_is_plain() {
    let address = |tokens: &[Settings]| address(tokens.iter());
    let (a, b) = ("/usr/lib/a-1.0.so", "/usr/lib/b.so");
    assert_eq!(address(&[token(a, false)]).unwrap(), None);
    let wanted = Some("|p11-kit remote /usr/lib/a-1.0.so".to_owned());
    assert_eq!(address(&[token(a, true), token(b, false)]).unwrap(), wanted);
    assert_eq!(address(&[token(a, true), token(a, true)]).unwrap(), wanted);
    assert!(address(&[token(a, true), token(b, true)]).is_err());
    for odd in ["/tmp/a b.so", "/tmp/a;b.so", "/tmp/\"a.so", "/tmp/$(a).so"] {
        assert!(address(&[token(odd, true)]).is_err(), "{odd}");
    }
}

#[test]
fn only_a_living_child_of_ours_that_runs_a_module_is_killed() {
    let child = |stat: &str| child_that_runs_a_module(stat, 7).map(Pid::as_raw_pid);
    assert_eq!(child("12 (p11-kit-remote) S 7 12 7 0"), Some(12));
    assert_eq!(child("12 (p11-kit-remote) S 8 12 7 0"), None);
    assert_eq!(child("12 (p11-kit-remote) Z 7 12 7 0"), None);
    assert_eq!(child("12 (postgres) S 7 12 7 0"), None);
    assert_eq!(child("12 (x) (p11-kit-remote) S 8 7 7 0"), None);
    assert_eq!(child(""), None);
}
