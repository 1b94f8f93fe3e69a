use std::time::Duration;

use super::*;

#[test]
fn a_flood_fills_the_queue_for_itself() {
    let (sender, receiver) = queue(8);
    let (flood, other) = (Some(CallerId::new()), Some(CallerId::new()));
    for _ in 0..6 {
        assert!(sender.is_ready_for(flood));
        sender.try_send(flood, ()).unwrap();
    }
    assert!(!sender.is_ready_for(flood) && sender.is_ready_for(other));
    for _ in 0..2 {
        sender.try_send(flood, ()).unwrap(); // they were told before
    }
    assert!(matches!(
        sender.try_send(flood, ()),
        Err(CustodyError::Busy)
    ));
    sender.try_send(other, ()).unwrap();
    let soon = Instant::now() + Duration::from_secs(5);
    for _ in 0..9 {
        assert!(receiver.recv_deadline(soon).is_ok());
    }
    let none = receiver.recv_deadline(Instant::now());
    assert!(matches!(none, Err(RecvTimeoutError::Timeout)));
    drop(sender);
    let closed = receiver.recv_deadline(soon);
    assert!(matches!(closed, Err(RecvTimeoutError::Disconnected)));
}
