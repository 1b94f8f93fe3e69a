use super::*;
use crate::policy::Policy;

/// As much as a worker of the runtime has.
fn with_a_small_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let stack = 2 * 1024 * 1024;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(stack);
        thread.spawn_scoped(scope, work).unwrap().join().unwrap()
    })
}

#[test]
fn what_would_end_the_stack_is_not_read() {
    let deep = |n: usize| {
        let (open, close) = ("(".repeat(n), ")".repeat(n));
        format!("permit (principal, action, resource) when {{ {open}true{close} }};")
    };
    let joined = |word: &str, n: usize| {
        let all = vec!["true"; n].join(word);
        format!("permit (principal, action, resource) when {{ {all} }};")
    };
    for text in [
        deep(100_000),
        joined(" && ", 100_000),
        joined(" || ", 10_000),
        format!(
            "permit (principal, action, resource) when {{ {} true }};",
            "!".repeat(9000)
        ),
        "if ".repeat(9000),
        " ".repeat(LONGEST + 1),
    ] {
        let refused = with_a_small_stack(|| text.parse::<Policy>().is_err());
        assert!(refused, "{}", &text[..60.min(text.len())]);
        assert!(check(&text).is_err());
    }
    // What is just small enough can be read, asked and explained.
    for text in [deep(30), joined(" && ", 299), joined(" || ", 299)] {
        with_a_small_stack(|| {
            let policy: Policy = text.parse().unwrap();
            let caller = crate::policy::tests::caller("d", &["trader"]);
            let on = crate::policy::Resource::service();
            let action = crate::policy::Action::CreateKey;
            assert!(policy.decide(&caller, action, &on).is_ok());
            assert!(policy.explain(&caller, action, &on).unwrap().permitted);
        });
    }
    assert_eq!(
        check(
            r#"// (((( "
        "a \" (((( && && " "#
        ),
        Ok(())
    );
}
