use super::*;

#[test]
fn a_file_goes_on_where_it_ended_whatever_was_left_behind() {
    let path = std::env::temp_dir().join(format!("chancery-{}", uuid::Uuid::now_v7()));
    let mut held = hold(&path, "log", "note").unwrap().unwrap();
    assert_eq!(held.next, 0);
    assert!(
        hold(&path, "log", "note").unwrap().is_none(),
        "one at a time"
    );
    for index in 0..3 {
        let text = format!("{}\n", line(&(index, vec![7; 100])));
        held.file.write_all(text.as_bytes()).unwrap();
    }
    let whole = fs::read(&path).unwrap();
    held.file.write_all(b"{\"index\":3,\"le").unwrap();
    drop(held);
    let held = hold(&path, "log", "note").unwrap().unwrap();
    assert_eq!(held.next, 3);
    assert_eq!(fs::read(&path).unwrap(), whole);
    drop(held);
    assert!(hold(&path, "another", "note").is_err());
    fs::write(&path, "something else\n").unwrap();
    assert!(hold(&path, "log", "note").is_err());
    fs::remove_file(&path).unwrap();
}
