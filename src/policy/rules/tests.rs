use super::*;

fn policy(rules: &[(&str, &str)]) -> Policy {
    let rule = |(id, condition): &(&str, &str)| {
        format!("{id} permit (principal, action, resource) when {{ {condition} }};\n")
    };
    let text: String = rules.iter().map(rule).collect();
    text.parse().unwrap()
}

#[test]
fn rules_are_compared_by_name_and_by_what_they_say() {
    let (own, other) = ("principal.owner == \"a\"", "principal.owner == \"b\"");
    let old = policy(&[("@id(\"x\")", own), ("@id(\"y\")", own), ("", own)]);
    let same = "// moved\n@id(\"y\") permit (principal, action, resource)\nwhen { principal.owner == \"a\" };";
    let new = policy(&[("@id(\"x\")", other), ("@id(\"z\")", own), ("", own)]);
    let with_same: Policy = format!("{same}\n@id(\"x\") permit (principal, action, resource) when {{ {own} }};\npermit (principal, action, resource) when {{ {own} }};")
        .parse()
        .unwrap();
    assert_eq!(between(&old, &with_same), RuleChanges::default());
    let changes = between(&old, &new);
    let names = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    assert_eq!(changes.added, names(&["z"]));
    assert_eq!(changes.changed, names(&["x"]));
    assert_eq!(changes.removed, names(&["y"]));

    // Two of one name, and those without.
    let twice = policy(&[("@id(\"x\")", own), ("@id(\"x\")", other), ("", other)]);
    let changes = between(&old, &twice);
    assert_eq!(changes.changed, names(&[UNNAMED, "x"]));
    assert_eq!(changes.removed, names(&["y"]));
}

#[test]
fn a_name_is_no_part_of_the_sentence_that_it_stands_in() {
    assert_eq!(shown("trader-signs-own"), "trader-signs-own");
    for odd in ["", "x; then approve", "x\ny", "\u{202e}x", &"x".repeat(101)] {
        let shown = shown(odd);
        assert!(shown.starts_with('"') && shown.is_ascii(), "{shown}");
        assert!(!shown.contains('\n'), "{shown}");
    }
}
