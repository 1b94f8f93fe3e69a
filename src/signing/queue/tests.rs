use super::*;

#[tokio::test]
async fn a_flood_has_no_room_when_another_has_and_what_got_in_gets_out() {
    let (sender, mut receiver) = queue(10);
    let (flood, other) = (Some(CallerId::new()), Some(CallerId::new()));
    while sender.try_send(flood, (), 1).is_ok() {}
    assert!(sender.try_send(other, (), 1).is_ok());
    assert!(sender.send(flood, ()).is_ok());
    let mut taken = 0;
    while receiver.try_recv().is_some() {
        taken += 1;
    }
    assert_eq!(taken, 12);
    assert!(sender.is_open());
    let reminder = sender.downgrade();
    drop(sender);
    assert!(reminder.upgrade().is_none());
    assert!(receiver.recv().await.is_none());
}

#[test]
fn nobody_sends_to_a_receiver_that_is_gone() {
    let (sender, receiver) = queue::<()>(10);
    drop(receiver);
    assert!(!sender.is_open());
    assert!(sender.try_send(None, (), 1).is_err());
    assert!(sender.send(None, ()).is_err());
}
