use super::*;

#[test]
fn metrics_leave_the_machine_only_where_that_is_accepted() {
    let nowhere = Settings::default();
    assert_eq!(nowhere.address().unwrap(), None);
    let mut everywhere = Settings {
        listen: Some(SocketAddr::from(([0, 0, 0, 0], 7301))),
        ..nowhere
    };
    assert!(check_metrics(&everywhere).is_err());
    everywhere.accept_clear_text = true;
    assert!(everywhere.address().unwrap().is_some());
    let here = Settings {
        listen: Some(SocketAddr::from(([127, 0, 0, 1], 7301))),
        ..Settings::default()
    };
    assert!(check_metrics(&here).is_ok());
}
