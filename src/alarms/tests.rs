use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

#[test]
fn an_alarm_is_heard_with_what_it_is_about_and_no_more_than_fit() {
    let heard = tracing_subscriber::registry().with(Listener);
    tracing::subscriber::with_default(heard, || {
        let error = "postgres://user:hunter2@host";
        tracing::error!(alarm = "falsified", key.id = %7, key.name = "k", error, "it is not so");
        tracing::error!("something else");
        tracing::warn!(alarm = "falsified", "a warning");
        let first = Alarm {
            what: "falsified".into(),
            said: "it is not so".into(),
            about: [("key.id", "7".to_owned()), ("key.name", "k".to_owned())].into(),
        };
        assert_eq!(take(), [first]);
        assert_eq!(take(), []);
        for number in 0..150 {
            tracing::error!(alarm = "a", key.id = %number, "again");
            tracing::error!(alarm = "a", key.id = %number, "again");
        }
        let all = take();
        assert_eq!(all.len(), CAPACITY + 1);
        assert!(all[CAPACITY].said.starts_with("100 "), "{all:?}"); // 50 of them came twice
    });
}
