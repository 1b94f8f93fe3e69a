use super::*;

#[test]
fn a_checkpoint_is_read_as_it_was_written() {
    let checkpoint = Checkpoint {
        origin: "chancery.example/prod".into(),
        size: 20_852_163,
        root: [7; 32],
    };
    let text = checkpoint.to_string();
    assert_eq!(
        text,
        "chancery.example/prod\n20852163\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n"
    );
    assert_eq!(text.parse(), Ok(checkpoint.clone()));
    let extended: Checkpoint = format!("{text}more\n").parse().unwrap();
    assert_eq!(extended, checkpoint);
}

#[test]
fn what_is_written_otherwise_is_no_checkpoint() {
    let root = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    for text in [
        String::new(),
        format!("\n1\n{root}\n"),
        format!("log\n01\n{root}\n"),
        format!("log\n+1\n{root}\n"),
        format!("log\n-1\n{root}\n"),
        format!("log\n18446744073709551616\n{root}\n"),
        "log\n1\nBwc=\n".into(),
        format!("log\n1\n{root}"),
        format!("log\n1\n{root}\n\nmore\n"),
    ] {
        assert!(text.parse::<Checkpoint>().is_err(), "{text:?}");
    }
}
