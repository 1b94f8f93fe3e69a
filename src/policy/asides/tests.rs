use super::*;
use crate::audit::Leaf;

#[test]
fn leaves_and_counts_together_are_the_refusals_of_each_caller() {
    let shared = Arc::new(Shared {
        callers: Mutex::default(),
        closed: AtomicBool::new(false),
        news: Notify::new(),
    });
    let asides = Asides {
        shared: Arc::clone(&shared),
        each: 3,
    };
    let (loud, quiet) = (CallerId::new(), CallerId::new());
    let on = Resource::service();
    let refuse = |who| asides.denied(who, Action::CreateKey, &on);
    (0..120).for_each(|_| refuse(loud));
    refuse(quiet);
    asides.tried(quiet, (Action::SignOrder, &on), [7; 32]);
    let of = |who: CallerId, all: &[Event]| -> Vec<&'static str> {
        let leaves = all.iter().map(|it| Leaf::new(0, it.clone()));
        let of_them = leaves.filter(|it| it.subject() == who.uuid());
        of_them.map(|it| it.kind()).collect()
    };
    let leaves = shared.waiting();
    assert_eq!(of(loud, &leaves), ["denied"; 3]);
    assert_eq!(of(quiet, &leaves), ["denied", "dry-run"]);
    (0..5).for_each(|_| refuse(loud)); // in the same minute
    asides.tried(loud, (Action::SignOrder, &on), [8; 32]);
    assert!(shared.waiting().is_empty());
    let caller = loud.uuid();
    let (refusals, runs) = (122, 1);
    let rest = [
        Event::Denials(leaf::Denials { caller, refusals }),
        Event::DryRuns(leaf::DryRuns { caller, runs }),
    ];
    assert_eq!(shared.counts(), rest);
    refuse(loud);
    assert_eq!(of(loud, &shared.waiting()), ["denied"], "a new minute");
    assert!(shared.counts().is_empty());
}
