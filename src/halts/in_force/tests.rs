use ruint::aliases::U256;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::{Bearing, Touches, Winding};
use super::*;
use crate::authority::Version;
use crate::id::{CallerId, ClientId, KeyId, WalletId};

fn halt(on: On, id: Option<Uuid>, allow: &[Winding]) -> InForce {
    InForce(vec![Arc::new(Halt {
        id: HaltId::new(),
        tokens: vec![U256::from(1001)],
        order: Order {
            on,
            id,
            name: "it".into(),
            tokens: (on == On::Market)
                .then(|| "1001".into())
                .into_iter()
                .collect(),
            reason: "test".into(),
            allow: allow.to_vec(),
        },
        at: OffsetDateTime::UNIX_EPOCH,
        by: CallerId::SERVICE,
        version: Version::from_ledger(1),
    })])
}

#[test]
fn a_halt_is_on_its_own_thing_and_stops_what_it_should() {
    let (key, wallet, client, caller) = (
        KeyId::new(),
        WalletId::new(),
        ClientId::new(),
        CallerId::new(),
    );
    let touches = Touches {
        key: Some(key),
        wallet: Some(wallet),
        client: Some(client),
    };
    let (this, other) = ([U256::from(7), U256::from(1001)], [U256::from(1002)]);
    let hit = |bearing| Hit {
        caller,
        touches,
        markets: &this,
        bearing,
    };
    let all = [
        Bearing::Looks,
        Bearing::Administers,
        Bearing::Signs,
        Bearing::Winds(Winding::Cancel),
        Bearing::Winds(Winding::Read),
        Bearing::Probes,
    ];
    let ids = [
        (On::Everything, None),
        (On::Key, Some(key.uuid())),
        (On::Wallet, Some(wallet.uuid())),
        (On::Client, Some(client.uuid())),
        (On::Caller, Some(caller.uuid())),
        (On::Market, None),
    ];
    for (on, id) in ids {
        let stopped = |allow: &[Winding]| {
            let halt = halt(on, id, allow);
            all.map(|bearing| u8::from(halt.on(&hit(bearing)).is_some()))
        };
        let (none, both) = match on {
            On::Everything => ([0, 0, 1, 1, 1, 1], [0, 0, 1, 0, 0, 1]),
            On::Caller => ([0, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1]),
            _ => ([0, 0, 1, 1, 1, 0], [0, 0, 1, 0, 0, 0]),
        };
        assert_eq!(stopped(&[]), none, "{on}");
        assert_eq!(stopped(&[Winding::Cancel, Winding::Read]), both, "{on}");
        assert_eq!(stopped(&[Winding::Cancel])[4], 1, "{on}");

        let others = Hit {
            caller: CallerId::new(),
            touches: Touches {
                key: Some(KeyId::new()),
                wallet: Some(WalletId::new()),
                client: None,
            },
            markets: &other,
            bearing: Bearing::Signs,
        };
        let is_on = halt(on, id, &[]).on(&others).is_some();
        assert_eq!(is_on, on == On::Everything, "{on}");
        let nothing = Hit {
            touches: Touches::default(),
            markets: &[],
            ..others
        };
        let is_on = halt(on, id, &[]).on(&nothing).is_some();
        assert_eq!(is_on, on == On::Everything, "{on}");
    }
}
