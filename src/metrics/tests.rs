use super::*;

#[test]
fn what_is_counted_is_on_the_page() {
    GROUPS.wrote(3, Duration::from_millis(4), true);
    GROUPS.wrote(3, Duration::from_millis(4), false);
    OPENED.asked(true);
    CONNECTIONS.comes();
    alarm("falsified");
    let page = text(counted());
    let version = env!("CARGO_PKG_VERSION");
    for line in [
        format!("chancery_build_info{{version=\"{version}\"}} 1.0"),
        "# TYPE chancery_group_rows histogram".to_owned(),
        "chancery_cache_lookups_total{cache=\"opened-secrets\",outcome=\"hit\"} ".to_owned(),
        "chancery_alarms_total{alarm=\"falsified\"} ".to_owned(),
        "chancery_group_failures_total ".to_owned(),
        "chancery_connections ".to_owned(),
    ] {
        assert!(
            page.lines().any(|it| it.starts_with(&line)),
            "{line}: {page}"
        );
    }
}

#[test]
fn there_are_never_fewer_than_none() {
    let present = Present::default();
    present.comes();
    present.goes();
    present.goes();
    assert_eq!(present.value(), 0);
}
