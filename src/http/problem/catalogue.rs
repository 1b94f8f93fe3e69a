//! The kinds of problems: what is stable about a refusal. The run-book has a line for each.

use serde::Serialize;

/// A kind of problem. Its document is served under `/problems/{name}`.
#[derive(Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ProblemKind {
    /// The last part of `type`. Stable.
    pub name: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// What to do.
    pub action: &'static str,
}

macro_rules! kinds {
    ($($constant:ident $name:literal $status:literal $title:literal $action:literal;)*) => {
        $(pub(in crate::http) const $constant: ProblemKind = ProblemKind {
            name: $name, status: $status, title: $title, action: $action,
        };)*

        /// All kinds of problems, in the order of the file.
        pub const CATALOGUE: &[&ProblemKind] = &[$(&$constant),*];
    };
}

kinds! {
    MALFORMED_BODY "malformed-body" 400 "The body is not the JSON that this operation takes"
        "Correct what the detail names; /openapi.json has the shape.";
    MALFORMED_HEADER "malformed-header" 400 "A header does not have the form it needs"
        "Correct the header that the detail names.";
    MALFORMED_QUERY "malformed-query" 400 "The query is not one that this operation takes"
        "Correct what the detail names; /openapi.json has the parameters.";
    IDEMPOTENCY_KEY_MISSING "idempotency-key-missing" 400 "This operation needs an Idempotency-Key"
        "Send a header Idempotency-Key with a fresh value for each new request, and the same value when you repeat one.";
    NOT_AUTHENTICATED "not-authenticated" 401 "Who is calling is not known"
        "Send a header Authorization: Bearer with a token that was neither revoked nor has expired, or connect with a certificate.";
    CERTIFICATE_REFUSED "certificate-refused" 401 "Nobody is known by the certificate"
        "Connect with a certificate that is valid now and meant for this; the detail says what is wrong with it.";
    JWT_REFUSED "jwt-refused" 401 "Nobody is known by the JWT"
        "Get a fresh JWT for this service from its issuer; the detail says what is wrong with it.";
    CREDENTIALS_DISAGREE "credentials-disagree" 401 "The certificate and the token are two callers'"
        "Come with one of them, or with two of one caller. It is on record in the log.";
    FOREIGN_SITE "foreign-site" 403 "A page of another site sent this"
        "Nothing was done. Call from a program, or from a page of this service; behind a proxy, have an operator name it in [http] hosts.";
    SCOPE_DENIED "scope-denied" 403 "The policy does not permit a token with this scope"
        "Ask for less, or ask an operator for the right to the scopes that the detail names.";
    SCOPE_NOT_GRANTED "scope-not-granted" 403 "The authorization server does not grant the application this scope or audience"
        "Ask for less; if the application needs it, have whoever runs the client ask the Exchange for the grant, then ask with refresh = true.";
    DENIED "denied" 403 "The policy does not permit this"
        "Ask an operator for the right, naming the action in the detail.";
    HALTED "halted" 403 "A halt stops this"
        "Nothing was released. The detail names the halt and why it was set; it is in force until somebody who may lifts it (POST /v1/halts/{halt}/lift). What was not released is not repeated by itself.";
    APPROVAL_NEEDED "approval-needed" 403 "A second person has to agree"
        "Send it with an Idempotency-Key and a body, then it is proposed to others; or set [approvals] single_operator where one operator is accepted.";
    PERSON_NEEDED "person-needed" 403 "This takes a person"
        "Use the token of a caller who belongs to a person, or have an operator make this one a person's: POST /v1/people/{person}/callers.";
    APPROVAL_REFUSED "approval-refused" 403 "This does not approve, reject or withdraw the proposal"
        "The detail says why. Another person than whoever asked approves, with a role that the proposal names, by signing its hash with a key that is registered as theirs.";
    LIMIT_EXCEEDED "limit-exceeded" 403 "A limit stands in the way"
        "The member limit says which, how much of it is used and when there is room: ask for less, wait, or have it raised.";
    NOT_FOUND "not-found" 404 "There is no such thing, or it is not for you"
        "Check the name; if it is right, ask an operator for the right to see it.";
    UNKNOWN_ENDPOINT "unknown-endpoint" 404 "The Exchange API documents no such endpoint"
        "Compare it with those that the detail names; GET /v1/exchange/endpoints lists all of them.";
    METHOD_NOT_ALLOWED "method-not-allowed" 405 "This resource does not take that method"
        "/openapi.json lists the methods.";
    PROPOSAL_OVER "proposal-over" 409 "The proposal does not hold any more"
        "Nothing was done. If it is still wanted, ask again under a new Idempotency-Key, and have that approved.";
    SAME_REQUEST "same-request" 409 "The same was asked for a moment ago under another Idempotency-Key"
        "Ask under the key in the member same: the answer is the one that it has. If another order is meant, say so with again: true.";
    NAME_TAKEN "name-taken" 409 "Something has this name already"
        "Choose another name, or use what exists.";
    CREDENTIAL_TAKEN "credential-taken" 409 "Somebody is known by this credential already"
        "Revoke it where it is, which GET /v1/callers/{caller} shows, then give it again.";
    LAST_ADMINISTRATOR "last-administrator" 409 "Nobody else could manage callers"
        "Make another caller who can, then revoke this one with theirs; at once where the token is in wrong hands. A policy has to leave somebody who can.";
    POLICY_REPLACED "policy-replaced" 409 "The policy is another one by now"
        "Look at it (GET /v1/policy), see whether your change still makes sense, and send it with replaces = its digest.";
    ONE_TOKEN "one-token" 409 "A break-glass caller has one token, which lives an hour"
        "Make an operator with it, then revoke it.";
    KEY_NOT_ACTIVE "key-not-active" 409 "The key does not sign in its present state"
        "Have an operator activate the key or move the wallet or client to one that is active.";
    KEY_EXPIRED "key-expired" 409 "The key's cryptoperiod has ended"
        "Rotate the key.";
    KEY_EPOCH_CHANGED "key-epoch-changed" 409 "The key changed while the request was under way"
        "No signature was released. Repeat the request.";
    KEY_CHANGED "key-changed" 409 "The key changed while the request was under way"
        "Look at the key again, and repeat the request if it still makes sense.";
    NO_IMPORT "no-import" 409 "No private key is waited for under this name"
        "Begin the import (again); an offer stands for 15 minutes, and is taken once.";
    NOT_A_STEP "not-a-step" 409 "A key does not go from its state to that one"
        "Look at the key's state; the detail names both.";
    KEY_IN_USE "key-in-use" 409 "Something still depends on the key"
        "The detail lists what, and GET /v1/keys/{key}/destruction says what to do about each. What only you can know, you may accept.";
    WALLET_REPLACED "wallet-replaced" 409 "Another wallet has taken this one's place"
        "Sign with the wallet that the detail names. Orders of this one can still be read and cancelled while it is drained.";
    ORDERS_OPEN "orders-open" 409 "Orders are open, or could be signed"
        "Cut over or stop the key first; if the CLOB lists orders that it does not cancel, repeat, or have two people say why none counts.";
    DESTRUCTION_BEGUN "destruction-begun" 409 "The key's destruction has begun"
        "Nothing stops it any more. GET /v1/keys/{key}/destruction says how far it is.";
    WALLET_IN_USE "wallet-in-use" 409 "The wallet is not over"
        "Rotate it, or drain it and deactivate its key; then close it.";
    ROTATION_OPEN "rotation-open" 409 "A rotation of it is open"
        "Go on with that one (GET /v1/rotations?open=true), or abandon it.";
    NO_SUCH_STEP "no-such-step" 409 "A rotation does not take this step where it stands"
        "Look at the rotation: its status says what is next.";
    ROTATION_NOT_READY "rotation-not-ready" 409 "Something is missing before the step can be taken"
        "Do what the detail says; after Retry-After seconds, where there is one.";
    ROTATION_CHANGED "rotation-changed" 409 "The rotation took another step meanwhile"
        "Look at the rotation again, and repeat the request if it still makes sense.";
    KEY_LEFT_BEHIND "key-left-behind" 409 "The counterparty may still have the key of a rotation that was given up"
        "Have it removed: ask-removal, probe and prove-removal on the rotation that the detail names.";
    RELAYER_NONCE "relayer-nonce" 409 "The wallet's nonce is another one at the relayer"
        "Do not take the nonce from the detail. Find out what spent it, or what is missing before it, put on record what became of those operations, and sign the next one in turn.";
    NO_CREDENTIAL "no-credential" 409 "There is no API key to make headers with"
        "Have an operator make or derive the wallet's API key, or give its builder's API key; the detail says which.";
    NONCE_ALREADY_USED "nonce-already-used" 409 "The nonce made an API key before"
        "Derive with the same nonce to get that key again, or create with another nonce.";
    NONCE_UNSETTLED "nonce-unsettled" 409 "What another nonce of the address did is not known yet"
        "Derive with that nonce, or repeat after Retry-After seconds, when its login can no longer take effect.";
    OPERATION_NONCE_TAKEN "operation-nonce-taken" 409 "A live operation has this nonce"
        "Get its answer again (GET /v1/wallets/{wallet}/operations/{operation}), replace it (replaces), or have what became of it put on record (…/outcome).";
    OPERATION_NONCE_SPENT "operation-nonce-spent" 409 "This nonce is spent"
        "Ask again with the wallet's next nonce, as the chain has it.";
    OPERATION_NONCE_AHEAD "operation-nonce-ahead" 409 "This nonce does not follow the last one"
        "Ask with the nonce that the detail names. If others spent nonces, put on record what became of the last operation, with nextNonce.";
    OPERATION_UNSETTLED "operation-unsettled" 409 "The same was signed with another nonce, and may still happen"
        "Send that one again, or have what became of it put on record (POST /v1/wallets/{wallet}/operations/{operation}/outcome): nothing is paid with two nonces.";
    OPERATION_NOT_REPLACED "operation-not-replaced" 409 "This does not take the other operation's place"
        "A transaction is replaced by the same with higher fees or by cancel_nonce; a Safe's or a batch by cancel_nonce.";
    OPERATION_SETTLED "operation-settled" 409 "What became of the operation is on record"
        "Look at it: GET /v1/wallets/{wallet}/operations/{operation}.";
    COULD_NOT_DERIVE "could-not-derive" 409 "The CLOB has no API key for this nonce"
        "Use a nonce that made one (GET /v1/nonces), search for it (POST /v1/wallets/{wallet}/nonce-searches), or create.";
    CREDENTIAL_NOT_USABLE "credential-not-usable" 409 "The API key cannot be used in its state"
        "Derive or create another one, and use that.";
    WOULD_REPLACE "would-replace" 409 "A new API key would end one that may be live"
        "If that is meant, say so: replaces = the API key that the detail names. If not, derive.";
    NO_STATEMENT_KEY "no-statement-key" 409 "There is no key to sign statements with"
        "Have a key for checkpoints made and activated in the environment of the key; the detail has the command.";
    DEVICE_REFUSES_KEY "device-refuses-key" 409 "The device holds the key and does not sign with it"
        "The detail says why. Have an operator enable the key in its device, take its deletion back, or rotate it; nothing was signed.";
    SEALING_KEY_IN_USE "sealing-key-in-use" 409 "Something depends on the sealing key"
        "Do what the detail says; GET /v1/custody says what rests under which key.";
    IN_FLIGHT "in-flight" 409 "The same request is being worked on"
        "Repeat it with the same Idempotency-Key after Retry-After seconds.";
    IDEMPOTENCY_KEY_REUSED "idempotency-key-reused" 409 "The Idempotency-Key stands for another request"
        "Use a fresh Idempotency-Key for a new request.";
    ANSWER_EXPIRED "answer-expired" 410 "What was signed under this key has expired"
        "Ask again with a fresh Idempotency-Key.";
    BODY_TOO_LARGE "body-too-large" 413 "The body is too large"
        "Send less; only a batch needs more than a few kilobytes.";
    HOST_NOT_KNOWN "host-not-known" 421 "The request is for another host"
        "Call the service by a name that it has: 127.0.0.1, localhost, or one that an operator names in [http] hosts.";
    UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" 415 "The body is not declared as JSON"
        "Send Content-Type: application/json.";
    INVALID_FIELD "invalid-field" 422 "A field's value cannot be used"
        "Correct the field that the detail names.";
    POLICY_REFUSED "policy-refused" 422 "The text is no policy"
        "The detail says where: chancery policy check says the same of a file. The policy is as it was.";
    NOT_THE_KEY "not-the-key" 422 "What was quoted or sent belongs to another key"
        "Stop. Compare with the new key's fingerprint, and find out which key the counterparty has. It is on record.";
    ORDER_REFUSED "order-refused" 422 "No such order can be signed"
        "Correct what the detail names; nothing was signed.";
    RECIPIENT_REFUSED "recipient-refused" 422 "Nothing should be sent to this address"
        "Compare the address with the one that was meant, digit by digit; the detail says what it is. Nothing was added.";
    RECIPIENT_UNKNOWN "recipient-unknown" 422 "No such recipient stands for this wallet"
        "Have the recipient added (POST /v1/recipients), which takes a second person and a while; or use one that is for the wallet's chain and owner. Nothing was signed.";
    RECIPIENT_WAITS "recipient-waits" 409 "The recipient was added too lately"
        "Repeat the request when the recipient stands, at the time in the detail. Nothing was signed.";
    FUNDER_NOT_DERIVED "funder-not-derived" 422 "The funder is not the key's wallet of this signature type"
        "Use the funder or the signatureType that the detail names; if the funder is right all the same, say funder_unverified, which is kept on record.";
    NO_MATCH "no-match" 422 "The CLOB's book has no price for the order"
        "Nothing was signed. Ask for less, take a part with FAK, or name a price.";
    VENUE_CONTRADICTS "venue-contradicts" 422 "The CLOB says something else of this market"
        "Correct what the detail names, or leave it out to have it looked up; nothing was signed.";
    OPERATION_REFUSED "operation-refused" 422 "No such operation can be signed for this wallet"
        "Correct what the detail names; GET /v1/catalogue/operations and the schema Operation say what there is. Nothing was signed.";
    SPENDER_REFUSED "spender-refused" 422 "No such allowance is given"
        "Use set_up_trading, or a contract of GET /v1/catalogue/operations by its name. Allowances without a bound are for exchanges, adapters and the router only.";
    FEE_TOO_HIGH "fee-too-high" 422 "The transaction may cost too much"
        "Say less gas or a lower maxFeePerGas; nothing was signed.";
    DEADLINE_REFUSED "deadline-refused" 422 "The batch's deadline is past, or too far ahead"
        "Leave it out, or say one that is 10 s to 20 minutes from now.";
    BATCH_TOO_LONG "batch-too-long" 422 "Too many calls go together"
        "Ask for fewer at a time, with consecutive nonces.";
    NOT_ON_CHAIN "not-on-chain" 422 "The contract is not known on the wallet's chain"
        "GET /v1/catalogue/operations says what is where.";
    CALL_REFUSED "call-refused" 422 "The call is none of the catalogue's"
        "Ask by name and fields: POST /v1/wallets/{wallet}/operations. Calldata is signed only where it is what the catalogue itself would write.";
    TYPED_DATA_REFUSED "typed-data-refused" 422 "This typed data is not signed here"
        "Send an order, a login, the making of a Safe, a deposit wallet's batch or a transaction as the official clients make them, for one of your wallets; the detail says what differs.";
    RPC_METHOD_UNSUPPORTED "rpc-method-unsupported" 422 "This JSON-RPC method is not offered"
        "Sign orders and logins with eth_signTypedData_v4, wallet operations by name with POST /v1/wallets/{wallet}/operations; send everything else to a node of the chain.";
    IMPORT_REFUSED "import-refused" 422 "What was brought is not taken"
        "Begin the import again, and wrap the announced key as the offer says; the detail says what is wrong.";
    NOT_ADOPTABLE "not-adoptable" 422 "This is not a key that is taken over"
        "The detail says what is wrong with it. What is taken is a key on record nowhere else that does nothing but sign, named by its ARN in KMS and by its pkcs11: URI in a token.";
    DEVICE_CANNOT "device-cannot" 422 "This kind of device cannot do that"
        "Use a device that can; the detail says what is meant.";
    RELAYER_NOT_CONFIGURED "relayer-not-configured" 422 "No relayer is configured for the wallet's chain"
        "Hand the body to the relayer yourself, with headers of POST /v1/wallets/{wallet}/builder-headers; or have an operator add [relayer.polygon] or [relayer.amoy].";
    VENUE_NOT_CONFIGURED "venue-not-configured" 422 "No CLOB is configured for the wallet's chain"
        "Say what would have been looked up (tickSize, negRisk, price), or have an operator add [clob.polygon] or [clob.amoy].";
    INVALID_SCOPE "invalid-scope" 422 "What was asked for are no scopes"
        "Send scope as names with one space between them; GET /v1/exchange/scopes lists those that are documented.";
    TOKEN_REFRESHED "token-refreshed" 429 "The token was replaced moments ago"
        "Repeat after Retry-After seconds. A new token that is refused as well is not the cause: POST /v1/exchange/explain tells the API's refusals apart.";
    PROBED_LATELY "probed-lately" 429 "The key was probed a moment ago"
        "Nothing was sent. Repeat after Retry-After seconds.";
    SIGNATURE_INVALID "signature-invalid" 500 "The device's signature does not verify"
        "Nothing left the service. Operators have been alarmed; do not repeat before they answer.";
    INTERNAL "internal" 500 "The service made a mistake"
        "Report it with the X-Request-Id of this answer.";
    COULD_NOT_CREATE "could-not-create" 502 "The CLOB neither makes an API key with this nonce nor has one"
        "Look at the detail; create with another nonce if the wallet is in order at the CLOB.";
    LOGIN_REFUSED "login-refused" 502 "The CLOB does not recognise the login"
        "Compare the chain, the wallet's address and the clocks: `chancery doctor` and the detail have them. Nothing took effect.";
    FUNDER_REFUSED "funder-refused" 502 "The CLOB does not know the wallet's funder"
        "Compare the funder with the address in the account's profile; an account that never logged in has to be deployed first.";
    RELAYER_REFUSED "relayer-refused" 502 "The relayer refused"
        "The detail has its words. What was signed stays on record as it is; ask again when the cause is gone, which sends the same text.";
    VENUE_REFUSED "venue-refused" 502 "The CLOB refused"
        "The detail has its words. Correct what they name; nothing took effect.";
    VENUE_EDGE "venue-edge" 502 "Something in front of the CLOB answered in its place"
        "The detail says what came instead: ask whoever runs the network between here and there. Repeat with the same Idempotency-Key.";
    VENUE_ANSWER "venue-answer" 502 "The CLOB's answer is not what it should be"
        "Repeat with the same Idempotency-Key; if it lasts, the CLOB has changed: tell an operator.";
    VENUE_VERSION "venue-version" 502 "The CLOB takes orders of a version that is not followed"
        "Name a version if you know that it still takes that one; otherwise have an operator upgrade the service.";
    CLIENT_REJECTED "client-rejected" 502 "The authorization server does not accept the client's key (invalid_client)"
        "Compare the key with what the Exchange has registered (GET /v1/clients/{client}): not registered, not enabled, removed or expired; or its server takes another aud. The member exchange has what was sent. It is tried again after Retry-After seconds.";
    ASSERTION_REJECTED "assertion-rejected" 502 "The authorization server does not accept the assertion (invalid_client_assertion)"
        "Compare the claims and the clocks in the member exchange with the environment's configuration: assertion_aud, client_id, lifetime_s. It is tried again after Retry-After seconds.";
    TOKEN_REQUEST_REFUSED "token-request-refused" 502 "The authorization server does not understand the token request"
        "An operator has to look: token_endpoint and token_request of the environment, or the server has changed.";
    TOKEN_ENDPOINT_ANSWER "token-endpoint-answer" 502 "The token endpoint's answer is not a token"
        "Something in front of the server answered, or it has changed. Repeat after Retry-After seconds; if it lasts, tell an operator.";
    TOKEN_ENDPOINT_REDIRECT "token-endpoint-redirect" 502 "The token endpoint answered with a redirect, which is not followed"
        "An operator has to look at once: the environment's token_endpoint is wrong, or somebody wants the assertions elsewhere.";
    TOO_MUCH_AT_ONCE "too-much-at-once" 429 "You have too much under way"
        "Nothing was done. Wait for your own answers, and repeat after Retry-After seconds.";
    BUSY "busy" 503 "Too much is waiting already"
        "Nothing was signed. Repeat after Retry-After seconds.";
    DEVICE_UNAVAILABLE "device-unavailable" 503 "The device that holds the key is not available"
        "No signature was released. Repeat with the same Idempotency-Key after Retry-After seconds: what was begun is finished then. If it lasts, tell an operator.";
    SEALING_KEY_MISSING "sealing-key-missing" 503 "What is needed is sealed under a key that is not there"
        "Nothing was signed. Tell an operator; the log says which key is missing.";
    DEVICE_THROTTLED "device-throttled" 503 "The device takes no more for now"
        "Nothing was signed. Repeat after Retry-After seconds; if it lasts, have an operator raise the device's quota.";
    SUBMISSION_UNKNOWN "submission-unknown" 503 "Whether the relayer has taken it, or how far it is, is not known"
        "Repeat after Retry-After seconds: the relayer is asked whether it has it, and else gets the same text again. Sign nothing in its place.";
    RELAYER_BUSY "relayer-busy" 503 "The relayer has something of this wallet under way, or does not know the wallet yet"
        "Repeat after Retry-After seconds: the same text is sent again.";
    RELAYER_UNAVAILABLE "relayer-unavailable" 503 "The relayer cannot be reached, or asks for fewer requests"
        "Nothing was handed over. Repeat after Retry-After seconds.";
    CREDENTIAL_UNKNOWN "credential-unknown" 503 "Whether the CLOB made the API key is not known yet"
        "Repeat with the same Idempotency-Key: the nonce is on record, and what it made is found by deriving.";
    VENUE_UNAVAILABLE "venue-unavailable" 503 "The CLOB cannot be reached, or does not answer"
        "Repeat with the same Idempotency-Key after Retry-After seconds. Where the CLOB may have acted, the answer says what it did.";
    TOKEN_ENDPOINT_THROTTLED "token-endpoint-throttled" 503 "The authorization server asks for fewer requests"
        "Repeat after Retry-After seconds, not before: the quota is the application's, and everybody shares it.";
    TOKEN_ENDPOINT_UNAVAILABLE "token-endpoint-unavailable" 503 "The token endpoint cannot be reached, or does not answer"
        "Repeat after Retry-After seconds; if it lasts, tell an operator.";
    ISSUER_UNAVAILABLE "issuer-unavailable" 503 "The keys of the JWT's issuer are not known"
        "Repeat after Retry-After seconds, or come with another credential. Operators have to see that the issuer's keys can be looked up.";
    CLOCK_OFF "clock-off" 503 "The service does not know what the time is"
        "Nothing was signed. Repeat with the same Idempotency-Key: another replica may answer. Operators have to synchronize the clocks.";
    EVIDENCE_LATE "evidence-late" 503 "What was signed before is not published in time"
        "Repeat the request with the same Idempotency-Key after Retry-After; if it stays so, tell the operator.";
    EVIDENCE_BROKEN "evidence-broken" 503 "The audit log does not prove itself"
        "Tell the operator at once: what was written was changed.";
    LEDGER_UNAVAILABLE "ledger-unavailable" 503 "The database is not available"
        "No signature was released. Repeat with the same Idempotency-Key after Retry-After seconds: what was begun is finished then, not begun anew.";
    FALSIFIED "falsified" 500 "The database holds what this service did not write"
        "Nothing was released. Operators have to find out who wrote to the database (chancery doctor says where), and put it right.";
    AUTHORITY_CHANGED "authority-changed" 503 "What is allowed changed while the request was under way"
        "Nothing was released or changed. Repeat the request with the same Idempotency-Key: it is decided by what holds now.";
    OUTCOME_UNKNOWN "outcome-unknown" 503 "Whether the request took effect is not known yet"
        "Repeat it with the same Idempotency-Key: you get the one answer there is.";
    DEVICE_TIMED_OUT "device-timed-out" 504 "The device did not answer in time"
        "No signature was released. Repeat with the same Idempotency-Key: what was begun is finished then.";
    DEADLINE_EXCEEDED "deadline-exceeded" 504 "There was no answer within the deadline"
        "The work goes on. Repeat with the same Idempotency-Key to get its answer.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_book_has_every_problem() {
        let run_book = include_str!("../../../deploy/guide/problems.md");
        for kind in CATALOGUE {
            assert!(
                run_book.contains(&format!("`{}`", kind.name)),
                "{}",
                kind.name
            );
        }
    }
}
