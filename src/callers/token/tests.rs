use super::*;

#[test]
fn a_token_comes_back_from_its_text_and_hides_in_debug() {
    let token = Token::random();
    let text = token.expose().to_owned();
    assert_eq!(text.len(), PREFIX.len() + SECRET + CHECKSUM);
    assert_eq!(text.parse::<Token>().unwrap().hash(), token.hash());
    assert!(!format!("{token:?}").contains(&text));
    assert_ne!(Token::random().hash(), token.hash());
}

#[test]
fn what_is_mistyped_is_no_token() {
    let text = Token::random().expose().to_owned();
    let mut wrong = text.clone();
    let last = if wrong.ends_with('A') { "B" } else { "A" };
    wrong.replace_range(text.len() - 1.., last);
    for bad in [
        "",
        "chancery_",
        &text[1..],
        &text[..text.len() - 1],
        &wrong,
        "chancery_é",
    ] {
        assert_eq!(bad.parse::<Token>().map(drop), Err(NotAToken), "{bad}");
    }
}
