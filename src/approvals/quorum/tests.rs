use super::*;

fn rule(on: Option<&str>, role: &str, people: u64) -> Rule {
    Rule {
        on: on.map(str::to_owned),
        role: role.parse().unwrap(),
        people: Within::of(people),
    }
}

fn met(quorum: &Quorum, people: &[&[&str]]) -> bool {
    let people: Vec<Vec<String>> = people
        .iter()
        .map(|roles| roles.iter().map(ToString::to_string).collect())
        .collect();
    quorum.is_met_by(&people).is_ok()
}

#[test]
fn one_person_takes_one_place() {
    let quorum = Quorum::of(&[rule(None, "a", 1), rule(None, "b", 1)], "POST /x");
    assert!(!met(&quorum, &[]));
    assert!(!met(&quorum, &[&["a", "b"]]));
    assert!(!met(&quorum, &[&["a"], &["a"]]));
    assert!(met(&quorum, &[&["a"], &["b"]]));
    // Whoever could take either place makes room for who could not.
    assert!(met(&quorum, &[&["a", "b"], &["a"]]));
    assert!(met(&quorum, &[&["b", "a"], &["b"]]));
    assert!(!met(&quorum, &[&["c"], &["a", "b"]]));
}

#[test]
fn rules_add_up_and_without_any_an_officer_is_needed() {
    assert_eq!(
        Quorum::of(&[], "POST /x").to_string(),
        "1 × security-officer"
    );
    let rules = [
        rule(None, "a", 1),
        rule(Some("POST /x"), "a", 2),
        rule(Some("POST /y"), "b", 1),
    ];
    assert_eq!(Quorum::of(&rules, "POST /x").to_string(), "2 × a");
    assert_eq!(Quorum::of(&rules, "POST /y").to_string(), "1 × a, 1 × b");
    assert_eq!(Quorum::of(&rules, "POST /z").to_string(), "1 × a");
}
