use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;

#[test]
fn who_is_late_is_replaced_once_and_only_so_many() {
    let (crew, now) = (Crew::new(2), Instant::now());
    let numbers: Vec<_> = (0..4).map(|_| crew.join()).collect();
    for number in &numbers[..3] {
        crew.is_inside(*number, Some(now));
    }
    crew.is_inside(numbers[3], Some(now + Duration::from_secs(1)));
    assert_eq!(crew.give_up(now), 2);
    assert_eq!(crew.give_up(now), 0, "two are lost already");

    crew.is_inside(numbers[0], None);
    assert!(crew.is_replaced(numbers[0]), "it came back too late");
    crew.leave(numbers[0]);
    assert_eq!(crew.give_up(now), 1, "there is room for another to be lost");
    assert!(!crew.is_replaced(numbers[3]), "it is in time");
}

#[test]
fn whoever_is_not_lost_is_seen_off() {
    let (crew, now) = (Crew::new(1), Instant::now());
    let (lost, other) = (crew.join(), crew.join());
    crew.is_inside(lost, Some(now));
    assert_eq!(crew.give_up(now), 1);
    std::thread::scope(|scope| {
        scope.spawn(|| crew.leave(other));
        crew.see_off(Duration::from_mins(1));
    });
    assert_eq!(crew.places().taken.len(), 1, "the lost one");
}

#[test]
fn whoever_left_has_ended_when_all_are_seen_off() {
    let (crew, ended) = (Arc::new(Crew::new(1)), Arc::new(AtomicBool::new(false)));
    let number = crew.join();
    let (of_thread, last) = (Arc::clone(&crew), Arc::clone(&ended));
    let thread = thread::spawn(move || {
        of_thread.leave(number);
        thread::sleep(Duration::from_millis(50));
        last.store(true, Ordering::Release);
    });
    crew.keep(number, thread);
    crew.see_off(Duration::from_mins(1));
    assert!(ended.load(Ordering::Acquire));
    assert!(crew.places().threads.is_empty());
}
