use super::*;

fn connections(most: usize) -> Arc<Connections> {
    Connections::new(&crate::http::Settings {
        connections: most,
        ..Default::default()
    })
}

fn is_open(listed: &Listed) -> bool {
    !listed.connection.end.is_cancelled()
}

#[test]
fn strangers_make_way_before_callers_and_then_the_caller_who_has_most() {
    let connections = connections(6);
    let list = || connections.list().unwrap();
    let (trader, flood) = (CallerId::new(), CallerId::new());
    let all: Vec<_> = (0..6).map(|_| list()).collect();
    all[0].connection.is_of(trader);
    for of_flood in &all[1..4] {
        of_flood.connection.is_of(flood);
    }
    all[4].connection.begins(Length::Known(0));
    let seventh = list();
    let opened: Vec<_> = all.iter().map(is_open).collect();
    assert_eq!(
        opened,
        [true, true, true, true, true, false],
        "the stranger"
    );
    seventh.connection.is_of(flood);
    seventh.connection.begins(Length::Known(0));
    let eighth = list();
    let opened: Vec<_> = all.iter().map(is_open).collect();
    assert_eq!(
        opened,
        [true, false, true, true, true, false],
        "the flood's oldest"
    );
    drop(eighth);
    drop(all);
    assert_eq!(connections.lock().all.len(), 1);
}

#[test]
fn requests_that_are_under_way_end_for_nobody_and_health_has_a_place() {
    let connections = connections(2);
    let begin = || {
        let listed = connections.list()?;
        listed.connection.begins(Length::Known(0));
        Some(listed)
    };
    let mut all: Vec<_> = (0..2).map(|_| begin().unwrap()).collect();
    assert!(!connections.is_full());
    all.push(begin().unwrap());
    assert!(connections.is_full(), "the third is for health only");
    all.extend((1..FOR_HEALTH).map(|_| begin().unwrap()));
    assert!(begin().is_none());
    assert!(all.iter().all(is_open));
    all[0].connection.ends();
    assert!(connections.list().is_some());
    assert!(!is_open(&all[0]));
}

#[test]
fn who_sends_no_whole_head_or_takes_no_answer_ends() {
    let connections = connections(9);
    let listed: Vec<_> = (0..4).map(|_| connections.list().unwrap()).collect();
    listed[0].connection.receives();
    listed[1].connection.stalls(true);
    listed[2].connection.receives();
    listed[2].connection.begins(Length::Known(0));
    listed[2].connection.receives(); // a body
    listed[3].connection.stalls(true);
    listed[3].connection.stalls(false);
    let later = Instant::now() + Duration::from_mins(5);
    assert_eq!(connections.end_the_slow(Instant::now()), 0);
    assert_eq!(connections.end_the_slow(later), 2);
    let opened: Vec<_> = listed.iter().map(is_open).collect();
    assert_eq!(opened, [false, false, true, true]);
}
