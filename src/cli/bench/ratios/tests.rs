use std::time::Duration;

use super::super::device::Kind;
use super::super::histogram::Histogram;
use super::super::load::{Pace, Tally};
use super::super::plan::{Desk, Plan};
use super::*;

fn row(name: &str, subject: Subject, at_once: usize, count: u64, used_us: [u64; 3]) -> Row {
    let times = (0..count).map(|_| Duration::from_micros(1000 * at_once as u64));
    let [service, postgres, load] = used_us.map(|it| Duration::from_micros(it * count));
    Row {
        name: name.to_owned(),
        subject,
        at_once,
        pace: Pace::Closed,
        tally: Tally {
            answered: Histogram::of(times),
            time: Duration::from_secs(1),
            ..Tally::default()
        },
        used: Some(Used {
            service,
            postgres,
            load,
        }),
        memory: None,
    }
}

/// Two cores: the device signs 4,000 a second on both, 500 µs each; the service signs 2,000, and 250 µs
/// each go to all else. So half a core is gone, and on the other one and a half the device gives 3,000.
#[test]
fn the_device_is_compared_on_the_cores_that_are_left() {
    let desk = Desk {
        device: Some(Kind::Token),
        wallet: Some("w".into()),
        client: None,
        tokens: None,
        login: None,
        signed: Some("id".into()),
    };
    let order = || Subject::Plan(Plan::new(&desk, Operation::Order).unwrap());
    let lookup = Subject::Plan(Plan::new(&desk, Operation::Lookup).unwrap());
    let device = || Subject::Device(Kind::Token, Operation::Order);
    let rows = [
        row("commit", Subject::Commit, 1, 100, [0, 0, 0]),
        row("alone", device(), 1, 2000, [0, 0, 500]),
        row("both", device(), 2, 4000, [0, 0, 500]),
        row("quiet", order(), 1, 300, [700, 90, 10]),
        row("busy", order(), 64, 2000, [620, 90, 40]),
        row("lookup", lookup, 64, 100, [60, 45, 10]),
    ];
    let ratios = of(&rows, 2);
    let value = |row: &str, kind: &str| {
        let found = ratios.iter().find(|it| it.row == row && it.kind == kind);
        found
            .unwrap_or_else(|| panic!("{row} {kind}: {ratios:?}"))
            .value
    };
    let near = |value: f64, wanted: f64| {
        assert!((value - wanted).abs() < 0.01, "{value} for {wanted}");
    };
    near(value("quiet", "ms-over-device-and-two-commits"), -2.0);
    near(value("busy", "share-of-device"), 0.5);
    near(value("busy", "cpu-us-outside-device"), 210.0);
    near(value("busy", "share-of-device-on-cores-left"), 2.0 / 3.0);
    near(value("lookup", "cost-beside-an-order"), 0.5);
}
