//! What can be wrong between a client, its authorization server and the API, as a list: each entry
//! has a stable code and says what to do.
//!
//! Nothing outside this list is ever answered, and each entry has a case in the tests.

use crate::catalogue::catalogue;

catalogue! {
    /// Something that can be wrong.
    #[schema(as = ExchangeCode)]
    pub enum Code {
        /// The API: 401, or `UNAUTHENTICATED` (16).
        TokenNotTaken "token-not-taken"
            "Report that token as dead, get a fresh one, and repeat the call once if it is safe to repeat. If the fresh one is refused too, stop: something else is wrong.";
        /// The token's end was past.
        TokenExpired "token-expired"
            "Get a fresh token before the old one ends; an answer's expires_in counts from when it was asked for.";
        /// The token was made for something else.
        TokenElsewhere "token-elsewhere"
            "Use a token of this environment: each has its own client, key and tokens.";
        /// The API: 403 or `PERMISSION_DENIED` (7), and it names the scope.
        ScopeMissing "scope-missing"
            "Ask the counterparty to grant the application this scope, then fetch a fresh token: the old one never gets it. If it is granted, ask for it in `scope`.";
        /// The API: 403 without the words of a missing scope.
        AddressNotAllowed "address-not-allowed"
            "Have the counterparty put your egress address on its allow list, and look whether that address has changed. A new token does not help.";
        /// 429, from either.
        RateLimited "rate-limited"
            "Wait as long as it says, with some jitter; use the token that you have while it lives.";
        /// The documentation says that this environment has no such endpoint.
        EndpointDisabled "endpoint-disabled"
            "Call it in an environment that has it.";
        /// The API has no such route, and its documentation neither.
        EndpointUnknown "endpoint-unknown"
            "Correct method and path; GET /v1/exchange/endpoints lists those that are documented.";
        /// The token endpoint: `invalid_client`.
        InvalidClient "invalid-client"
            "Look whether the key is registered, enabled and not expired at the counterparty, and compare its fingerprint (chancery keys bundle). If it is, look at the claims, above all at aud: a server may have gone over from its token endpoint to its issuer (assertion_aud).";
        /// The token endpoint: `invalid_client_assertion`.
        InvalidClientAssertion "invalid-client-assertion"
            "Compare iss, sub, aud, exp and the clocks with what is expected, and send each assertion once. Servers use this word and invalid_client for either cause.";
        /// The token endpoint: `invalid_request`.
        InvalidRequest "invalid-request"
            "Compare the token request with what the service answers beside an assertion; client_id and sub have to be the same.";
        /// The token endpoint: `unsupported_grant_type`, `unauthorized_client` or `invalid_grant`.
        GrantRefused "grant-refused"
            "Ask for grant_type client_credentials; if that was asked for, have the counterparty allow it to the application.";
        /// The token endpoint: `access_denied`, `invalid_scope` or `invalid_target`.
        NotGranted "not-granted"
            "The assertion is good. Ask for this environment's audience and for scopes that the application was granted, or have the counterparty grant them.";
        /// 5xx, from either.
        ServerTrouble "server-trouble"
            "Try again, at most three times, further and further apart; at the token endpoint with a new assertion each time.";
        /// The answer was lost.
        OutcomeUnknown "outcome-unknown"
            "The assertion may have been delivered, and is spent if it was: try again with a new one.";
        /// No connection was made.
        NotDelivered "not-delivered"
            "Let this host reach the server: name, route, firewall. Nothing was delivered.";
        /// 3xx.
        Redirected "redirected"
            "Do not follow it, for the assertion would go with it. Correct token_endpoint, or ask who is in between.";
        /// A page in the server's place.
        EdgeAnswered "edge-answered"
            "A web firewall or proxy answered, not the server: ask whoever runs the network.";
        /// 4xx, and neither a page nor the error of OAuth.
        NoReason "no-reason-given"
            "The answer says nothing of the key. Try again with a new assertion; if it stays, compare token_endpoint with the server's, and ask whoever runs it or what stands in front of it.";
        /// 2xx without a token that can be used.
        AnswerUnusable "answer-unusable"
            "Try again with a new assertion. Without expires_in, take the token's own exp, or do not keep it.";
        /// Not a JWT, or not JSON in it.
        Malformed "malformed"
            "Send three parts in base64url with dots between them: a JSON object, a JSON object, a signature.";
        /// A claim is not there, or is of another kind.
        ClaimMissing "claim-missing"
            "Put in all six: iss, sub, aud, iat, exp, jti.";
        /// Larger than a server takes.
        TooLong "too-long"
            "Leave out what is not asked for: an assertion has at most 2048 bytes, iss, sub and jti at most 64 characters each.";
        /// Not RS256.
        Algorithm "algorithm"
            "Sign with RS256 and say so in alg: a key is registered for one algorithm.";
        /// A `typ` that says it is something else.
        TokenKind "token-kind"
            "Use typ \"JWT\", or \"client-authentication+jwt\" where the server takes it.";
        /// A `kid` of no key that is known here.
        KeyUnknown "key-unknown"
            "Use the kid that the counterparty assigned to the key that signs; where it assigned none, its RFC 7638 thumbprint, or none at all.";
        /// A `kid` of another key than the client's.
        KeyOfAnother "key-of-another"
            "Sign with the client's own key; after a rotation, stop whoever still uses the old one.";
        /// The client's key does not sign.
        KeyNotActive "key-not-active"
            "Have an operator look at the key's state: chancery keys show. The counterparty may have been told to remove it.";
        /// `aud` is the API.
        AudIsApi "aud-is-api"
            "Put the authorization server into aud. The API is `audience`, a member of the token request.";
        /// `aud` is of another environment.
        AudElsewhere "aud-elsewhere"
            "Ask for an assertion of a client of this environment: each has its own client and key.";
        /// `aud` differs by a slash or by capitals.
        AudSpelling "aud-spelling"
            "Write aud exactly as the server writes itself: it is compared byte by byte.";
        /// `aud` is a list.
        AudList "aud-list"
            "Write aud as one string; some libraries make a list of it by themselves.";
        /// `aud` is a name of the right server, but not the one that is configured.
        AudPolicy "aud-policy"
            "Use the aud that the environment is configured for; if the server wants this one now, change assertion_aud there.";
        /// `aud` is something else.
        AudWrong "aud-wrong"
            "Put the environment's authorization server into aud.";
        /// `iss` and `sub` differ.
        IssuerNotSubject "issuer-not-subject"
            "Put the client id into both iss and sub.";
        /// `iss` is no client of this environment.
        ClientUnknown "client-unknown"
            "Use the client id that the counterparty gave out at onboarding for this environment, or put it on record (chancery clients create).";
        /// `iss` is a client of another environment.
        ClientElsewhere "client-elsewhere"
            "Use this environment's client id: each has its own.";
        /// `exp` is more than 300 seconds after `iat`.
        LifetimeTooLong "lifetime-too-long"
            "Let it live a minute; more than 300 seconds are refused.";
        /// `exp` is not after `iat`.
        LifetimeBackwards "lifetime-backwards"
            "Let exp be iat and a minute.";
        /// A time is not in whole seconds.
        TimeUnit "time-unit"
            "Write iat, nbf and exp as whole seconds since 1970, without quotes.";
        /// It had ended when it arrived.
        Expired "expired"
            "Ask for a new assertion right before each delivery, and compare the clocks.";
        /// It had not begun when it arrived.
        NotYet "not-yet"
            "Set the sender's clock: a server takes iat and nbf at most 10 seconds ahead.";
        /// Two clocks differ.
        ClockOff "clock-off"
            "Synchronize the clock that is off; chancery doctor compares this host's.";
        /// The `jti` is that of another assertion.
        JtiReused "jti-reused"
            "Make a new jti for each assertion; some libraries keep the first one.";
        /// It was never released here.
        NeverReleased "never-released"
            "Ask for an assertion again: this one was made and dropped, and nobody got it.";
        /// `client_id` is not the client's.
        ClientIdDiffers "client-id-differs"
            "Send the client_id that stands in iss and sub, or leave it out.";
        /// `audience` is not this environment's API.
        AudienceDiffers "audience-differs"
            "Send this environment's audience, byte by byte; it is answered beside each assertion.";
        /// `grant_type` or `client_assertion_type` is not what it has to be.
        RequestMember "request-member"
            "Send grant_type client_credentials and the client_assertion_type of RFC 7523.";
    }
}
