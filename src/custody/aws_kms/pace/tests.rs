use super::*;

const SOON: Duration = Duration::from_secs(1);

/// A pace whose time is ours, and its beginning.
fn pace(per_second: u32, queue: usize) -> (Pace, Instant) {
    let pace = Pace::new(per_second, queue);
    let start = pace.lock().next;
    (pace, start)
}

/// When each of these came to its turn, in milliseconds: the clock ticks from `start`.
fn served(pace: &Pace, start: Instant, turns: &mut [Option<Told>]) -> Vec<Option<u64>> {
    let mut at = vec![None; turns.len()];
    for ms in 0..2_000 {
        pace.advance(start + Duration::from_millis(ms));
        for (turn, at) in turns.iter_mut().zip(&mut at) {
            match turn.as_mut().map(oneshot::Receiver::try_recv) {
                None if at.is_none() => *at = Some(0), // it was its turn at once
                Some(Ok(Ok(()))) => *at = Some(ms),
                _ => {}
            }
        }
    }
    at
}

#[test]
fn turns_come_at_their_pace_after_a_burst() {
    let (pace, start) = pace(100, 1_000);
    let caller = CallerId::new();
    let join = |now| pace.join(caller, now + SOON, now).unwrap();
    let mut turns: Vec<_> = (0..60).map(|_| join(start)).collect();
    let at = served(&pace, start, &mut turns);
    assert_eq!((at[0], at[1], at[59]), (Some(0), Some(10), Some(590)));
    let later = start + Duration::from_mins(1);
    let at_once = (0..60).take_while(|_| join(later).is_none()).count();
    assert_eq!(at_once, 11, "a tenth of a second's, and its own");
}

#[test]
fn a_flood_of_one_caller_does_not_delay_another() {
    let (pace, start) = pace(100, 1_000);
    let (flood, one) = (CallerId::new(), CallerId::new());
    let join = |caller| pace.join(caller, start + SOON, start).unwrap();
    let _floods: Vec<_> = (0..90).map(|_| join(flood)).collect();
    let mut ones: Vec<_> = (0..5).map(|_| join(one)).collect();
    let at = served(&pace, start, &mut ones);
    assert_eq!(
        at.last().unwrap().unwrap(),
        100,
        "every second turn is theirs"
    );
}

#[test]
fn what_would_come_too_late_is_refused_at_once_and_says_when() {
    let (pace, start) = pace(10, 1_000);
    let caller = CallerId::new();
    let join = || pace.join(caller, start + SOON, start);
    let mut turns = vec![join().unwrap()];
    let refused = loop {
        match join() {
            Ok(turn) => turns.push(turn),
            Err(CustodyError::Throttled { retry_after }) => break retry_after,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(refused > SOON && refused < 2 * SOON, "{refused:?}");
    let at = served(&pace, start, &mut turns);
    let last = at.iter().map(|at| at.expect("it came in time")).max();
    assert_eq!(last, Some(1_000));
}

#[test]
fn a_full_queue_has_room_for_whom_has_less_and_sends_nobody_away() {
    let (pace, start) = pace(10, 4);
    let (flood, one) = (CallerId::new(), CallerId::new());
    let join = |caller| pace.join(caller, start + SOON, start);
    let mut turns: Vec<_> = (0..5).map(|_| join(flood).unwrap()).collect();
    assert!(join(flood).is_err(), "the queue is full");
    turns.push(join(one).unwrap());
    assert!(join(flood).is_err(), "and still is");
    let at = served(&pace, start, &mut turns);
    assert_eq!(at[5], Some(200), "the second turn from now is theirs");
    assert_eq!(at[4], Some(500), "who was there before is served as well");
}

#[test]
fn who_was_turned_away_stands_in_front_and_newcomers_are_told_early() {
    let (pace, start) = pace(10, 4);
    let caller = CallerId::new();
    let join = || pace.join(caller, start + SOON, start);
    assert!(join().unwrap().is_none());
    let (tell, told) = oneshot::channel();
    let mut turns = [join().unwrap(), Some(told)];
    pace.lock().turns.push_front(caller, tell, 1);
    let at = served(&pace, start, &mut turns);
    assert_eq!(at, [Some(200), Some(100)]);
    for _ in 0..TOO_MUCH {
        pace.slow_down();
    }
    let soon = Instant::now();
    let told = pace.join(caller, soon + 60 * SOON, soon);
    assert!(
        matches!(told, Err(CustodyError::Throttled { .. })),
        "{told:?}"
    );
    pace.go_on();
    assert!(pace.join(caller, soon + 60 * SOON, soon).is_ok());
}

#[test]
fn who_hangs_up_takes_nobodys_turn() {
    let (pace, start) = pace(10, 1_000);
    let (gone, here) = (CallerId::new(), CallerId::new());
    let join = |caller| pace.join(caller, start + SOON, start).unwrap();
    join(here);
    for _ in 0..5 {
        drop(join(gone));
    }
    let at = served(&pace, start, &mut [join(here)]);
    assert_eq!(at, [Some(100)]);
    assert!(pace.lock().turns.is_empty());
}

#[test]
fn too_much_makes_all_wait_longer_each_time() {
    let (pace, start) = pace(100, 1_000);
    pace.slow_down();
    let first = pace.lock().next - start;
    pace.slow_down();
    let second = pace.lock().next - start;
    assert!(first >= Duration::from_millis(50) && second >= 2 * Duration::from_millis(50));
    pace.go_on();
    assert_eq!(pace.lock().slowed, 0);
}

#[tokio::test]
async fn those_who_wait_watch_the_clock_for_each_other() {
    let pace = std::sync::Arc::new(Pace::new(1_000, 1_000));
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..200 {
        let pace = pace.clone();
        waiting.spawn(async move {
            let turn = pace.turn(CallerId::new(), Instant::now() + 20 * SOON);
            if number % 3 == 0 {
                // The one that watches may be one that hangs up.
                drop(tokio::time::timeout(Duration::from_millis(5), turn).await);
            } else {
                turn.await.unwrap();
            }
        });
    }
    waiting.join_all().await;
    assert!(
        pace.join(CallerId::new(), Instant::now() + SOON, Instant::now())
            .is_ok()
    );
}
