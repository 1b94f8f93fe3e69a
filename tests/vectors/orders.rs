//! The recorded orders: each case becomes a request in the API's JSON, and everything down to the posted
//! body must equal what the clients made of it.

use chancery::clob::book::Book;
use chancery::clob::fees::TakerFees;
use chancery::clob::order::{Limit, PriceFrom};
use chancery::clob::terms::{GivenTerms, VenueTerms};
use chancery::clob::{
    Chain, MarketOrderRequest, Order, OrderRequest, Profile, SignatureType, SignedOrder, Terms,
};
use chancery::ethereum::{Address, Signature};
use k256::ecdsa::SigningKey;
use k256::ecdsa::signature::hazmat::PrehashSigner;
use serde_json::{Map, Value, json};

use crate::{is_about_a_secret, recorded};

/// A case's order, signed with the case's key.
struct Answer {
    order: Order,
    signed: SignedOrder,
    /// `r ‖ s ‖ v` as text, before any nesting.
    inner: String,
}

/// The request as a caller of the HTTP API writes it.
fn request(input: &Value) -> Value {
    let mut request = Map::new();
    for field in [
        "tokenID",
        "side",
        "price",
        "size",
        "amount",
        "tickSize",
        "negRisk",
        "orderType",
        "expiration",
        "feeRateBps",
        "nonce",
        "taker",
        "metadata",
        "builderCode",
        "postOnly",
        "deferExec",
    ] {
        if let Some(value) = input.get(field) {
            request.insert(field.to_owned(), value.clone());
        }
    }
    request.insert("version".to_owned(), input["orderVersion"].clone());
    request.insert("owner".to_owned(), input["apiCreds"]["key"].clone());
    Value::Object(request)
}

fn signing_key(input: &Value) -> Result<SigningKey, String> {
    let text = input["privateKey"].as_str().unwrap_or_default();
    let digits = text.strip_prefix("0x").ok_or("privateKey: no 0x")?;
    let bytes = hex::decode(digits).map_err(|why| format!("privateKey: {why}"))?;
    SigningKey::from_slice(&bytes).map_err(|why| format!("privateKey: {why}"))
}

fn profile(input: &Value, signer: Address) -> Result<Profile, String> {
    let chain: Chain = parse("chainId", &input["chainId"])?;
    let kind: SignatureType = parse("signatureType", &input["signatureType"])?;
    let funder: Option<Address> = parse("funder", &input["funder"])?;
    let session_key = input["signerType"] == "SESSION_KEY";
    Profile::new(chain, kind, signer, funder, session_key).map_err(|why| why.to_string())
}

fn parse<T: serde::de::DeserializeOwned>(field: &str, value: &Value) -> Result<T, String> {
    serde_json::from_value(value.clone()).map_err(|why| format!("{field}: {why}"))
}

/// A number that the vectors write as text or as a number.
fn number<T: std::str::FromStr>(value: &Value) -> Option<T> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.to_string().parse().ok(),
    }
}

/// What the venue of a case says of the market, and what is made of it.
fn terms(input: &Value, asked: &GivenTerms) -> Result<Terms, String> {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let said = VenueTerms {
        tick_size: text(&input["marketTickSize"])
            .map(|it| it.parse().expect("a market has a tick")),
        neg_risk: None,
        fee_rate_bps: parse("marketFeeRateBps", &input["marketFeeRateBps"])?,
    };
    let version = Terms::given(asked).map_err(|why| why.to_string())?.version;
    Terms::agree(asked, version, &said).map_err(|why| why.to_string())
}

/// The limit of a market order: its own, or what the case's book says. A case without either has an
/// empty book.
fn limit(input: &Value, request: &MarketOrderRequest) -> Result<Limit, String> {
    if let Some(price) = request.limit() {
        let from = PriceFrom::Request;
        return Ok(Limit { price, from });
    }
    let empty = json!({ "bids": [], "asks": [] });
    let book: Book = parse("book", input.get("book").unwrap_or(&empty))?;
    assert!(
        book.is_of(request.token_id),
        "a book has its worst level first"
    );
    book.limit(request.side, request.amount, request.order_type)
        .map(|price| Limit {
            price,
            from: PriceFrom::Book,
        })
        .map_err(|why| why.to_string())
}

/// Makes the order of a case, or says why not.
fn sign(input: &Value) -> Result<Answer, String> {
    let signer = signing_key(input)?;
    let key = k256::PublicKey::from(signer.verifying_key());
    let profile = profile(input, Address::of(&key))?;
    let body = request(input).to_string();
    let salt = number(&input["salt"]).expect("a case has a salt");
    let now_s = number(&input["l2Timestamp"]).expect("a case has a clock");
    let timestamp_ms = number(&input["timestamp"]).unwrap_or(now_s * 1000);
    let order = if input["kind"] == "market" {
        let request: MarketOrderRequest =
            serde_json::from_str(&body).map_err(|why| why.to_string())?;
        let terms = terms(input, &request.given_terms())?;
        let limit = limit(input, &request)?;
        Order::build_market(
            &request,
            limit,
            TakerFees::NONE,
            &terms,
            &profile,
            salt,
            timestamp_ms,
        )
    } else {
        let request: OrderRequest = serde_json::from_str(&body).map_err(|why| why.to_string())?;
        let terms = terms(input, &request.given_terms())?;
        Order::build(&request, &terms, &profile, salt, timestamp_ms, now_s)
    };
    let order = order.map_err(|why| why.to_string())?;

    let raw: k256::ecdsa::Signature = signer.sign_prehash(order.digest()).expect("a key signs");
    let signature = Signature::check(&raw.to_bytes().into(), order.digest(), &key)
        .expect("a fresh signature verifies");
    Ok(Answer {
        signed: order.signed(&signature),
        inner: signature.to_string(),
        order,
    })
}

/// The body that the official TypeScript client posts; where none is among the clients, another's.
fn posted(bodies: &Value) -> Option<(&str, Value)> {
    let rank = |client: &str| {
        ["@polymarket/clob-client", "py-clob-client"]
            .iter()
            .position(|prefix| client.starts_with(prefix))
            .unwrap_or(2)
    };
    let (client, body) = bodies
        .as_object()?
        .iter()
        .min_by_key(|(client, _)| rank(client))?;
    Some((client, parse_body(body)))
}

/// A recorded body. Clients write a funder as they were given it, some write all addresses in lower
/// case; a wallet has one spelling here, the checksummed one.
fn parse_body(text: &Value) -> Value {
    let text = text.as_str().expect("a posted body is text");
    let mut body: Value = serde_json::from_str(text).expect("a posted body is JSON");
    for field in ["maker", "signer", "taker"] {
        if let Some(written) = body["order"].get_mut(field) {
            let lower = written.as_str().expect("an address is text").to_lowercase();
            let address: Address = lower.parse().expect("a posted address is one");
            *written = json!(address);
        }
    }
    body
}

/// Everything in which the answer differs from what a client posted.
fn compare_body(answer: &Answer, client: &str, body: &Value) -> Vec<String> {
    let envelope = answer
        .signed
        .envelope
        .as_ref()
        .expect("the owner was given");
    let mut wrong = Vec::new();
    wrong.extend(differing("order", &answer.signed.order, &body["order"]));
    wrong.extend(differing(
        "envelope.order",
        &envelope["order"],
        &body["order"],
    ));
    for field in ["owner", "orderType", "postOnly", "deferExec"] {
        // Only these two families send both flags, and as the trader said.
        let flag = matches!(field, "postOnly" | "deferExec");
        if flag && !client.starts_with('@') && !client.starts_with("py-clob-client-v2") {
            continue;
        }
        wrong.extend(differing(field, &envelope[field], &body[field]));
    }
    if client.starts_with('@') {
        wrong.extend(differing("envelope", envelope, body));
    }
    wrong
}

/// Everything in which the answer differs from a recorded outcome.
fn compare(answer: &Answer, outcome: &Value) -> Vec<String> {
    let record = answer.order.record();
    let hex = |bytes: &[u8; 32]| json!(format!("0x{}", hex::encode(bytes)));
    let mut wrong = Vec::new();
    wrong.extend(differing("domain", &record["domain"], &outcome["domain"]));
    wrong.extend(differing("struct", &record["struct"], &outcome["struct"]));
    for (field, got) in [
        ("domainSeparator", hex(answer.order.domain_separator())),
        ("structHash", hex(answer.order.struct_hash())),
        ("orderHash", hex(answer.order.order_hash())),
        ("digest", hex(answer.order.digest())),
        ("signature", json!(answer.signed.signature)),
    ] {
        wrong.extend(differing(field, &got, &outcome[field]));
    }
    // On record where it is not the digest, which stands beside.
    let recorded = record.get("orderHash").unwrap_or(&outcome["digest"]);
    wrong.extend(differing(
        "recorded orderHash",
        recorded,
        &outcome["orderHash"],
    ));
    if let Some(inner) = outcome.get("innerSignature") {
        wrong.extend(differing("innerSignature", &json!(answer.inner), inner));
        wrong.extend(nested_layout(answer));
    }
    match posted(&outcome["postBody"]) {
        Some((client, body)) => wrong.extend(compare_body(answer, client, &body)),
        None => wrong.push("no client's body is recorded".to_owned()),
    }
    wrong
}

/// The parts of a type 3 signature in their places: inner signature, separator, struct hash, type, length.
fn nested_layout(answer: &Answer) -> Vec<String> {
    let order = &answer.order;
    let nested = format!(
        "{}{}{}",
        &answer.inner[2..],
        hex::encode(order.domain_separator()),
        hex::encode(order.struct_hash()),
    );
    let whole = &answer.signed.signature;
    let bytes = (whole.len() - 2) / 2;
    let (at, length) = if whole.ends_with("64926492") {
        (4 * 64, 480)
    } else {
        (0, 317)
    };
    let mut wrong = Vec::new();
    if !whole[2 + at..].starts_with(&nested) || !whole.contains("00ba") || bytes != length {
        wrong.push(format!("nested layout of {bytes} bytes"));
    }
    wrong
}

fn differing(what: &str, got: &Value, wanted: &Value) -> Option<String> {
    (got != wanted).then(|| format!("{what} is {got}, wanted {wanted}"))
}

/// The verdict on a case of the order files.
fn check_order(case: &Value) -> Vec<String> {
    let answer = sign(&case["input"]);
    match (case["reference"].as_u64(), answer) {
        (Some(index), Ok(answer)) => {
            let index = usize::try_from(index).expect("an index is small");
            compare(&answer, &case["outcomes"][index])
        }
        (Some(_), Err(why)) => vec![format!("refused: {why}")],
        (None, Ok(_)) => vec!["signed, but should be refused".to_owned()],
        (None, Err(why)) => reasonable(&why),
    }
}

/// The verdict on a case of the invalid file.
fn check_invalid(case: &Value) -> Vec<String> {
    let answer = sign(&case["input"]);
    match (case["expect"].as_str(), answer) {
        (Some("refuse" | "either"), Err(why)) => reasonable(&why),
        (Some("accept" | "either"), Ok(answer)) => equals_one_accepted(&answer, case),
        (Some("refuse"), Ok(_)) => vec!["signed, but should be refused".to_owned()],
        (Some("accept"), Err(why)) => vec![format!("refused: {why}")],
        (other, _) => vec![format!("expect is {other:?}")],
    }
}

fn equals_one_accepted(answer: &Answer, case: &Value) -> Vec<String> {
    let Some(accepted) = case["accepted"].as_object() else {
        return vec!["signed, though no client accepts it".to_owned()];
    };
    let mut wrong = Vec::new();
    for (client, outcome) in accepted {
        let body = parse_body(&outcome["postBody"]);
        let differences = compare_body(answer, client, &body);
        if differences.is_empty() {
            return Vec::new();
        }
        wrong.extend(differences.into_iter().map(|it| format!("{client}: {it}")));
    }
    wrong
}

/// A refusal is a sentence, not a word.
fn reasonable(why: &str) -> Vec<String> {
    if why.split(' ').count() < 3 {
        return vec![format!("the refusal says too little: {why:?}")];
    }
    Vec::new()
}

fn run(file: &str, check: impl Fn(&Value) -> Vec<String>) {
    let document = recorded(file);
    let cases = document["cases"].as_array().unwrap();
    let (secrets, orders): (Vec<_>, Vec<_>) = cases.iter().partition(|it| is_about_a_secret(it));
    let mut failures = Vec::new();
    for case in &orders {
        let id = case["id"].as_str().unwrap_or("(no id)");
        failures.extend(check(case).into_iter().map(|why| format!("{id}: {why}")));
    }
    println!(
        "{file}: {} of {} cases; {} are of api secrets",
        orders.len(),
        cases.len(),
        secrets.len(),
    );
    assert!(!orders.is_empty(), "{file}: no case ran");
    assert!(
        failures.is_empty(),
        "{file}: {}\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn version_1_orders_equal_the_official_clients() {
    run("clob-v1-orders.json", check_order);
}

#[test]
fn version_2_orders_equal_the_official_clients() {
    run("clob-v2-orders.json", check_order);
}

#[test]
fn version_3_orders_equal_the_official_clients() {
    run("clob-v3-orders.json", check_order);
}

#[test]
fn what_is_invalid_is_refused_with_a_reason() {
    run("clob-invalid.json", check_invalid);
}
