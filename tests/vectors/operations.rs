//! The recorded wallet operations, byte for byte: calls, digests, signatures, transactions, bodies.

use std::collections::BTreeMap;

use chancery::ethereum::eip712::Bytes32;
use chancery::ethereum::{Address, Signature, keccak256};
use chancery::operations::abi::hexed;
use chancery::operations::deposit::{self, Batch};
use chancery::operations::proxy::{self, Relay, Relayed};
use chancery::operations::safe::{SafeCreation, SafeForm, SafeTransaction};
use chancery::operations::transaction::{Fees, Transaction};
use chancery::operations::{Call, Condition, Contract, Party, Place, Step};
use k256::ecdsa::SigningKey;
use ruint::aliases::U256;
use serde_json::{Value, json};

use crate::file;

fn number(value: &Value) -> U256 {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    U256::from_str_radix(&text, 10).unwrap()
}

fn small<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    number(value).to_string().parse().unwrap()
}

fn numbers(value: &Value) -> Vec<U256> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn address(value: &Value) -> Address {
    value.as_str().unwrap().parse().unwrap()
}

fn contract(value: &Value) -> Contract {
    let name = value.as_str().unwrap();
    name.strip_suffix("_amoy").unwrap_or(name).parse().unwrap()
}

fn bytes32(value: &Value) -> Bytes32 {
    value.as_str().unwrap().parse().unwrap()
}

fn condition(value: &Value) -> Condition {
    value.as_str().unwrap().to_owned().try_into().unwrap()
}

/// A recorded operation as a step of the catalogue.
#[expect(clippy::too_many_lines, reason = "the catalogue is a list")]
fn step(it: &Value, place: &Place) -> Step {
    let to = || match it["to"].as_str() {
        Some("self") => place.wallet,
        _ => address(&it["to"]),
    };
    let amount = || number(&it["amount"]);
    let token = || contract(&it["token"]);
    let spender = || Party::Known(contract(&it["spender"]));
    let operator = || Party::Known(contract(&it["operator"]));
    let adapter = || contract(&it["adapter"]);
    match it["op"].as_str().unwrap() {
        "approve_collateral" => Step::Approve {
            token: token(),
            spender: spender(),
            amount: if it["amount"] == "max" {
                U256::MAX
            } else {
                amount()
            },
        },
        "revoke_collateral" => Step::Approve {
            token: token(),
            spender: spender(),
            amount: U256::ZERO,
        },
        "approve_positions" => Step::ApprovePositions {
            token: token(),
            operator: operator(),
            approved: true,
        },
        "revoke_positions" => Step::ApprovePositions {
            token: token(),
            operator: operator(),
            approved: false,
        },
        "split" => Step::Split {
            adapter: adapter(),
            condition: bytes32(&it["conditionId"]),
            amount: amount(),
        },
        "merge" => Step::Merge {
            adapter: adapter(),
            condition: bytes32(&it["conditionId"]),
            amount: amount(),
        },
        "redeem" => Step::Redeem {
            adapter: adapter(),
            condition: bytes32(&it["conditionId"]),
        },
        "redeem_neg_risk_legacy" => Step::RedeemLegacy {
            condition: bytes32(&it["conditionId"]),
            amounts: numbers(&it["amounts"]),
        },
        "convert" => Step::Convert {
            market: bytes32(&it["marketId"]),
            index_set: number(&it["indexSet"]),
            amount: amount(),
        },
        "split_v3" => Step::SplitV3 {
            condition: condition(&it["conditionId"]),
            amount: amount(),
        },
        "redeem_v3" => Step::RedeemV3 {
            condition: condition(&it["conditionId"]),
            outcome: number(&it["outcome"]),
            amount: amount(),
        },
        "wrap" => Step::Wrap {
            asset: contract(&it["asset"]),
            to: to(),
            amount: amount(),
        },
        "unwrap" => Step::Unwrap {
            asset: contract(&it["asset"]),
            to: to(),
            amount: amount(),
        },
        "transfer_collateral" => Step::Transfer {
            token: token(),
            to: to(),
            amount: amount(),
        },
        "transfer_position" => Step::TransferPosition {
            token: token(),
            to: to(),
            id: number(&it["id"]),
            amount: amount(),
        },
        "transfer_positions" => Step::TransferPositions {
            token: token(),
            to: to(),
            ids: numbers(&it["ids"]),
            amounts: numbers(&it["amounts"]),
        },
        "transfer_native" => Step::TransferNative {
            to: to(),
            amount: amount(),
        },
        "pause_trading" => Step::Pause {
            exchange: contract(&it["exchange"]),
        },
        "cancel_nonce" => Step::CancelNonce,
        "authorize_session_key" => Step::AuthorizeSession {
            signer: address(&it["signer"]),
            valid_until: number(&it["validUntil"]),
        },
        "revoke_session_key" => Step::RevokeSession {
            signer: address(&it["signer"]),
        },
        "transfer_ownership" => Step::TransferOwnership {
            new_owner: address(&it["newOwner"]),
            deadline: number(&it["deadline"]),
        },
        "pause_wallet" => Step::PauseWallet,
        "emergency_withdraw_collateral" => Step::EmergencyTransfer {
            token: token(),
            to: to(),
            amount: amount(),
        },
        "emergency_withdraw_positions" => Step::EmergencyPositions {
            token: token(),
            to: to(),
            ids: numbers(&it["ids"]),
            amounts: numbers(&it["amounts"]),
        },
        "emergency_revoke_collateral" => Step::EmergencyRevoke {
            token: token(),
            spender: spender(),
        },
        other => panic!("no such operation is known: {other}"),
    }
}

struct Case<'a> {
    it: &'a Value,
    key: SigningKey,
    owner: Address,
    place: Place,
}

impl<'a> Case<'a> {
    fn new(it: &'a Value) -> Self {
        let secret = it["privateKey"].as_str().unwrap();
        let secret = hex::decode(&secret[2..]).unwrap();
        Self {
            it,
            key: SigningKey::from_slice(&secret).unwrap(),
            owner: address(&it["owner"]),
            place: Place {
                chain_id: it["chainId"].as_u64().unwrap(),
                wallet: address(&it["wallet"]),
            },
        }
    }

    fn sign(&self, digest: &[u8; 32]) -> Signature {
        let (signature, _) = self.key.sign_prehash_recoverable(digest).unwrap();
        let raw: [u8; 64] = signature.to_bytes().into();
        let public = k256::PublicKey::from(self.key.verifying_key());
        Signature::check(&raw, digest, &public).unwrap()
    }

    /// Holds a digest and what came of it against what was recorded.
    fn is(&self, member: &str, ours: impl serde::Serialize) {
        assert_eq!(
            self.it[member],
            json!(ours),
            "{member} of {}",
            self.it["id"]
        );
    }

    fn signed(&self, digest: &[u8; 32]) -> Signature {
        self.is("digest", Bytes32(*digest));
        self.sign(digest)
    }

    fn steps(&self, operations: &Value) -> Vec<Call> {
        let operations = operations.as_array().unwrap();
        let steps = operations.iter().map(|it| step(it, &self.place));
        steps
            .map(|step| {
                let call = step.call(&self.place).unwrap();
                // What is written is read again.
                assert_eq!(Step::read(&call, &self.place), Ok(step));
                call
            })
            .collect()
    }

    /// The calls that are recorded, made of what was asked for.
    fn calls(&self) -> Vec<Call> {
        let asked = &self.it["operations"][0];
        match asked["op"].as_str().unwrap() {
            "create_safe" | "create_deposit_wallet" | "accept_ownership" => Vec::new(),
            "proxy_calls" => {
                let inner = self.steps(&asked["calls"]);
                self.compare("innerCalls", &inner);
                vec![proxy::own_call(self.place.chain_id, &inner).unwrap()]
            }
            "safe_create" => {
                let creation = SafeCreation::new(self.place).unwrap();
                vec![creation.own_call(&self.sign(&creation.digest()))]
            }
            "safe_exec" => {
                let inner = self.steps(&asked["calls"]);
                self.compare("innerCalls", &inner);
                let safe =
                    SafeTransaction::new(self.place, number(&asked["nonce"]), &inner).unwrap();
                let signature = self.sign(&safe.digest(SafeForm::EthSign));
                let sealed = SafeTransaction::sealed(&signature, SafeForm::EthSign);
                vec![safe.own_call(&sealed)]
            }
            _ => self.steps(&self.it["operations"]),
        }
    }

    fn compare(&self, member: &str, calls: &[Call]) {
        let shown = calls.iter().map(|call| {
            json!({ "to": call.to, "value": call.value.to_string(), "data": hexed(&call.data) })
        });
        self.is(member, shown.collect::<Vec<_>>());
    }
}

#[test]
fn wallet_operations_are_what_the_official_clients_make_of_them() {
    let file = file("wallet-operations.json");
    for (name, at) in file["addresses"].as_object().unwrap() {
        let chain = if name.ends_with("_amoy") { 80002 } else { 137 };
        let ours = contract(&json!(name)).on(chain).unwrap();
        assert_eq!(ours.to_string(), at.as_str().unwrap(), "{name}");
    }
    let cases = file["vectors"].as_array().unwrap();
    assert!(!cases.is_empty());
    let mut passed: BTreeMap<&str, usize> = BTreeMap::new();
    let mut refused_by_design = 0;
    for it in cases {
        let case = Case::new(it);
        let calls = case.calls();
        case.compare("calls", &calls);
        let kind = it["kind"].as_str().unwrap();
        if kind == "txLegacy" {
            // Their calls are encoded, and transactions of this form are not signed: type 2 does all they do.
            refused_by_design += 1;
            continue;
        }
        check(&case, kind, calls);
        *passed.entry(kind).or_default() += 1;
    }
    let sum = passed.values().sum::<usize>();
    assert_eq!(sum + refused_by_design, cases.len());
    println!(
        "wallet-operations.json: {sum} of {}, {refused_by_design} refused by design: {passed:?}",
        cases.len()
    );
}

fn check(case: &Case<'_>, kind: &str, calls: Vec<Call>) {
    let (it, place, owner) = (case.it, case.place, case.owner);
    let params = &it["params"];
    match kind {
        "tx1559" => {
            let [call] = <[Call; 1]>::try_from(calls).unwrap();
            let transaction = Transaction {
                chain_id: place.chain_id,
                nonce: small(&params["nonce"]),
                fees: Fees {
                    max_fee_per_gas: small(&params["maxFeePerGas"]),
                    max_priority_fee_per_gas: small(&params["maxPriorityFeePerGas"]),
                    gas: small(&params["gas"]),
                },
                call,
            };
            case.is("unsigned", hexed(&transaction.unsigned()));
            let signature = case.signed(&transaction.digest());
            case.is("signature", signature.to_string());
            let raw = transaction.raw(&signature);
            case.is("rawTransaction", hexed(&raw));
            case.is("transactionHash", Bytes32(keccak256(&raw)));
        }
        "createProxy" => {
            let creation = SafeCreation::new(place).unwrap();
            let signature = case.signed(&creation.digest());
            case.is("signature", signature.to_string());
            case.is("body", creation.body(owner, &signature));
        }
        "safeTx" => {
            let safe = SafeTransaction::new(place, number(&params["nonce"]), &calls).unwrap();
            case.is("safeTxHash", Bytes32(safe.hash()));
            let signature = case.signed(&safe.digest(SafeForm::EthSign));
            let sealed = SafeTransaction::sealed(&signature, SafeForm::EthSign);
            case.is("signature", hexed(&sealed));
            let metadata = params["metadata"].as_str().unwrap();
            case.is("body", safe.body(owner, &sealed, metadata));
            let typed = case.sign(&safe.digest(SafeForm::TypedData));
            let typed = SafeTransaction::sealed(&typed, SafeForm::TypedData);
            case.is("typedDataSignature", hexed(&typed));
            let payload = &it["payload"];
            assert_eq!(payload["to"], json!(safe.outer().to));
            assert_eq!(payload["data"], hexed(&safe.outer().data));
            assert_eq!(payload["operation"], i32::from(calls.len() > 1));
        }
        "proxyRelay" => {
            let relay = Relay {
                address: address(&params["relay"]),
                nonce: number(&params["nonce"]),
                gas_limit: small(&params["gasLimit"]),
            };
            let relayed = Relayed::new(place, owner, relay, &calls).unwrap();
            case.is("relayHash", Bytes32(relayed.hash()));
            let signature = case.signed(&relayed.digest());
            case.is("signature", signature.to_string());
            let metadata = params["metadata"].as_str().unwrap();
            case.is("body", relayed.body(&signature, metadata));
            assert_eq!(it["payload"]["data"], hexed(&relayed.outer().data));
        }
        "depositCreate" => {
            let body = deposit::creation_body(place.chain_id, owner).unwrap();
            case.is("body", body);
        }
        "depositBatch" => {
            let (nonce, deadline) = (number(&params["nonce"]), number(&params["deadline"]));
            let batch = Batch::new(place, nonce, deadline, calls);
            let signature = case.signed(&batch.digest());
            let is_session_key = params["signer"] == "session key";
            if is_session_key {
                case.is("ecdsa", signature.to_string());
            }
            let sealed = deposit::sealed(owner, is_session_key, &signature);
            case.is("signature", hexed(&sealed));
            case.is("body", batch.body(owner, &sealed).unwrap());
        }
        "ownershipHandover" => {
            let nonce = number(&params["nonce"]);
            let signature = case.signed(&deposit::handover_digest(&place, owner, nonce));
            case.is("signature", signature.to_string());
        }
        "ownershipHandoverV1" => {
            let deadline = number(&params["deadline"]);
            let digest = deposit::former_handover_digest(&place, owner, deadline);
            case.is("signature", case.signed(&digest).to_string());
        }
        other => panic!("no such kind is known: {other}"),
    }
}
