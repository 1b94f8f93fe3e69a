//! Orders with one thing wrong in what was signed, or in the signature.

use serde_json::{Value, json};

use super::*;
use crate::clob::contracts;

/// One thing wrong with what was signed, or with the signature.
#[expect(clippy::too_many_lines, reason = "it is a list")]
pub(super) fn cases() -> Vec<(Code, Value, Expected)> {
    use search::Style::{Nested, Plain};
    let eoa = || signed(0, json!({}));
    let own = Derived::of(address(&key("owner")));
    let me = address(&key("owner"));
    let tick = |tick: &str| Expected {
        tick: Some(tick.parse().unwrap()),
        ..none()
    };
    let chain = |chain| Expected {
        chain: Some(chain),
        ..none()
    };
    let domain = |version, chain_id, verifying_contract| Domain {
        version,
        chain_id,
        verifying_contract,
        ..v2()
    };
    let adapter = contracts::NEG_RISK_ADAPTER.parse().ok();
    let v1 = || signed(0, json!({ "version": 1, "nonce": "7", "feeRateBps": "30" }));
    let v1_contract = Version::V1
        .exchange(Chain::Polygon, false)
        .domain
        .verifying_contract;
    let large = "12345678901234567891";
    vec![
        (
            Code::Malformed,
            changed(eoa(), json!({ "makerAmount": "12,5" })),
            none(),
        ),
        (
            Code::Malformed,
            changed(eoa(), json!({ "signature": "0x12" })),
            none(),
        ),
        (
            Code::Version,
            eoa(),
            Expected {
                version: Some(Version::V3),
                ..none()
            },
        ),
        (
            Code::Version,
            v1(),
            Expected {
                version: Some(Version::V2),
                ..none()
            },
        ),
        (Code::Chain, eoa(), chain(Chain::Amoy)),
        (
            Code::Chain,
            resigned(
                eoa(),
                json!({}),
                Plain,
                &Domain {
                    chain_id: 1,
                    ..v2()
                },
            ),
            none(),
        ),
        (
            Code::NegRisk,
            eoa(),
            Expected {
                neg_risk: Some(true),
                ..none()
            },
        ),
        (
            Code::NegRisk,
            signed(3, json!({ "negRisk": true })),
            Expected {
                neg_risk: Some(false),
                chain: Some(Chain::Polygon),
                ..none()
            },
        ),
        (
            Code::ExchangeAdapter,
            resigned(v1(), json!({}), Plain, &domain("1", 80002, adapter)),
            Expected {
                neg_risk: Some(true),
                ..chain(Chain::Amoy)
            },
        ),
        (
            Code::Domain,
            resigned(eoa(), json!({}), Plain, &domain("2", 137, v1_contract)),
            none(),
        ),
        (
            Code::Domain,
            resigned(
                eoa(),
                json!({}),
                Plain,
                &domain("1", 137, v2().verifying_contract),
            ),
            none(),
        ),
        (
            Code::Domain,
            resigned(eoa(), json!({}), Plain, &domain("2", 137, None)),
            none(),
        ),
        (
            Code::SignatureType,
            changed(signed(1, json!({})), json!({ "signatureType": 2 })),
            none(),
        ),
        (
            Code::SignatureType,
            changed(signed(3, json!({})), json!({ "signatureType": 2 })),
            none(),
        ),
        (
            // Signed as it stands, for a maker of another type.
            Code::SignatureType,
            resigned(
                eoa(),
                json!({ "maker": own.safe, "signatureType": 1 }),
                Plain,
                &v2(),
            ),
            none(),
        ),
        (
            Code::NotNested,
            changed(
                signed(3, json!({})),
                json!({ "signature": resigned(signed(3, json!({})), json!({}), Plain, &v2())["order"]["signature"] }),
            ),
            none(),
        ),
        (
            Code::NotWrapped,
            resigned(signed(3, json!({})), json!({}), Nested, &v2()),
            none(),
        ),
        (
            Code::WrongWrapper,
            with_signature(signed(3, json!({})), |it| it[70] ^= 1),
            none(),
        ),
        (
            Code::WrongWrapper,
            with_signature(signed(3, json!({})), |it| it[100] ^= 1),
            none(),
        ),
        (
            Code::WrongWrapper,
            with_signature(signed(3, json!({})), |it| it[316] ^= 1),
            none(),
        ),
        (
            Code::MakerSignerSwapped,
            changed(
                signed(2, json!({})),
                json!({ "maker": me, "signer": own.safe }),
            ),
            none(),
        ),
        (
            Code::Maker,
            changed(signed(1, json!({})), json!({ "maker": me })),
            none(),
        ),
        (
            Code::Maker,
            changed(signed(2, json!({})), json!({ "maker": own.proxy })),
            none(),
        ),
        (
            Code::Signer,
            eoa(),
            Expected {
                signer: Some(address(&key("another"))),
                ..none()
            },
        ),
        (
            Code::Signer,
            changed(signed(1, json!({})), json!({ "signer": own.proxy })),
            Expected {
                signer: Some(me),
                ..none()
            },
        ),
        (
            Code::Signer,
            // The wallet's owner signed, and the order names somebody else.
            resigned(
                signed(1, json!({})),
                json!({ "signer": address(&key("another")) }),
                Plain,
                &v2(),
            ),
            none(),
        ),
        (
            Code::EoaMaker,
            resigned(
                eoa(),
                json!({ "maker": address(&key("another")) }),
                Plain,
                &v2(),
            ),
            none(),
        ),
        (
            Code::Funder,
            resigned(
                signed(2, json!({})),
                json!({ "maker": address(&key("another")) }),
                Plain,
                &v2(),
            ),
            none(),
        ),
        (
            Code::Funder,
            resigned(signed(1, json!({})), json!({ "maker": me }), Plain, &v2()),
            none(),
        ),
        (
            Code::Side,
            changed(eoa(), json!({ "side": "SELL" })),
            none(),
        ),
        (
            Code::AmountsSwapped,
            changed(
                eoa(),
                json!({ "makerAmount": "21040000", "takerAmount": "11782400" }),
            ),
            none(),
        ),
        (
            Code::AmountsRounded,
            changed(
                eoa(),
                json!({ "makerAmount": "11776800", "takerAmount": "21030000" }),
            ),
            none(),
        ),
        (
            Code::AmountsZero,
            resigned(
                eoa(),
                json!({ "makerAmount": "0", "takerAmount": "0" }),
                Plain,
                &v2(),
            ),
            none(),
        ),
        (
            Code::AmountsTooFine,
            resigned(
                eoa(),
                json!({ "makerAmount": "1000000", "takerAmount": "1518141" }),
                Plain,
                &v2(),
            ),
            Expected {
                order_type: Some(OrderType::Fok),
                ..tick("0.0001")
            },
        ),
        (Code::Tick, eoa(), tick("0.1")),
        (
            Code::Tick,
            resigned(eoa(), json!({ "makerAmount": "11782500" }), Plain, &v2()),
            Expected {
                order_type: Some(OrderType::Gtc),
                ..tick("0.01")
            },
        ),
        (
            Code::SaltTooLarge,
            {
                let salt = serde_json::value::to_value(12_345_678_901_234_567_891_u64).unwrap();
                resigned(eoa(), json!({ "salt": salt }), Plain, &v2())
            },
            none(),
        ),
        (
            Code::SaltText,
            changed(eoa(), json!({ "salt": "123456789" })),
            none(),
        ),
        (
            Code::TimestampUnit,
            changed(
                resigned(eoa(), json!({ "timestamp": "1700000000" }), Plain, &v2()),
                json!({ "timestamp": "1700000000123" }),
            ),
            none(),
        ),
        (
            Code::FieldZero,
            changed(
                signed(0, json!({ "version": 1 })),
                json!({ "feeRateBps": "30" }),
            ),
            none(),
        ),
        (
            Code::HighS,
            with_signature(eoa(), |it| {
                other_s(it);
                it[64] = 55 - it[64];
            }),
            none(),
        ),
        (
            Code::BareV,
            with_signature(eoa(), |it| it[64] -= 27),
            none(),
        ),
        (
            Code::BareV,
            with_signature(signed(3, json!({})), |it| it[64] -= 27),
            none(),
        ),
        (
            Code::WrongV,
            with_signature(eoa(), |it| it[64] = 55 - it[64]),
            none(),
        ),
        (
            Code::OwnerAddress,
            {
                let mut posted = eoa();
                posted["owner"] = json!(me);
                posted
            },
            none(),
        ),
        (
            Code::SaltRounded,
            {
                let exact = resigned(
                    eoa(),
                    json!({ "salt": large.parse::<u64>().unwrap() }),
                    Plain,
                    &v2(),
                );
                // What a reader with doubles makes of it.
                changed(exact, json!({ "salt": 12_345_678_901_234_567_000_u64 }))
            },
            Expected {
                neg_risk: Some(false),
                version: Some(Version::V2),
                ..chain(Chain::Polygon)
            },
        ),
    ]
}
