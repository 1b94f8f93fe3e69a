//! The door: everything that signs goes through [`Signer::sign`], and nothing else can.
//!
//! A [`Draft`] says what is to be signed and for whom. The policy permits it, a group writes the
//! INTENT, the device signs what was permitted and logged, the signature is checked under the key
//! that was meant, a group writes the RELEASED leaf together with the answer, and only then somebody
//! sees it. An intent ends exactly once: released, refused, or abandoned. A signature that does not
//! verify, or repeats the `r` of another digest, ends it as refused and suspends the key (P8).
//!
//! It **trusts** the policy for who may, the ledger for what is durable, and the device for nothing
//! but secrecy.
//!
//! # Why the work outlives the wait
//! A caller who hangs up or loses patience has already caused an intent. Dropping the work there
//! would leave an intent without an end and a signature without a record, so it runs on as a task of
//! its own, and the caller finds the answer under the same idempotency key.

mod batch;
mod check;
mod device;
mod group;
mod points;
mod queue;
mod records;
mod settings;
pub mod signatures;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::audit::{Event, Leaf, Log, Logged, leaf};
use crate::callers::Caller;
use crate::clock::Clock;
use crate::credentials::{Login, LoginRefused};
use crate::custody::{CustodyError, Payload, SealedSecret, Sign, Turn, Vault};
use crate::fail_point;
use crate::id::{ClientId, IntentId};
use crate::idempotency::{self, Key as IdempotencyKey, RequestDigest, Useful};
use crate::keys::{Key, KeyState, Keys};
use crate::ledger::LedgerError;
use crate::policy::{Action, Ask, Denied, Permit, Policy, Resource};
use crate::sealing::Keyring;
pub use batch::{AskedTogether, LARGEST_BATCH};
pub use check::{BadSignature, Checked};
use group::{Claim, Ended, Group, How, Joining};
pub use settings::Settings;

/// What is signed for, as far as the key's state is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Business {
    /// What the key is there for: only an active key does it.
    Ordinary,
    /// A caller's header that reads or cancels: also while the wallet is being replaced, and after its
    /// period. The key itself signs nothing for it.
    Reduction,
    /// The service's own calls that read, cancel and delete for an operator who winds a wallet down:
    /// the more urgent, the worse the key's state is.
    Unwinding,
    /// To see whether the counterparty knows the key. It goes with states in which nothing else is
    /// signed (SP 800-57 part 1, 7.1), and with a key whose period is over: that it was removed has
    /// to be proved of any key.
    Probe,
}

/// Something that can be signed: an order, an assertion.
pub trait Draft: Ask + Send + Sync + 'static {
    /// `order` or `assertion`: the word in the ledger.
    fn operation(&self) -> &'static str;
    /// The wallet or client.
    fn subject(&self) -> Uuid;
    /// The key, as it was when the draft was made.
    fn key(&self) -> &Key;
    /// The secret that it is made with, where the key only stands for that.
    fn secret(&self) -> Option<&SealedSecret> {
        None
    }
    /// What it is signed for.
    fn business(&self) -> Business {
        Business::Ordinary
    }
    /// How long what is signed can be used. Its idempotency key is kept at least as long.
    fn useful(&self) -> Useful {
        Useful::Briefly
    }
    /// Whether the time goes into what is signed.
    fn tells_the_time(&self) -> bool {
        false
    }
    /// Works out what is signed. Called when the intent joins its group, so that times are fresh;
    /// pure apart from random identifiers.
    fn prepare(&self, now_ms: i64) -> Prepared;
    /// The body of the answer.
    fn answer(&self, id: IntentId, prepared: &Prepared, signature: &Checked) -> Answer;
}

impl Ask for Box<dyn Draft> {
    fn action(&self) -> crate::policy::Action {
        (**self).action()
    }

    fn resource(&self) -> crate::policy::Resource {
        (**self).resource()
    }
}

/// What is signed, worked out.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// For the device.
    pub payload: Payload,
    /// What stands for it in the ledger: the EIP-712 digest, or SHA-256 of the message.
    pub digest: [u8; 32],
    /// The same for people.
    pub record: serde_json::Value,
    /// The order's hash at the venue.
    pub order_hash: Option<[u8; 32]>,
    /// The assertion's identifier.
    pub jti: Option<Jti>,
    /// The login that it is, whose nonce is claimed with the intent.
    pub login: Option<Login>,
    /// A signature that is not on its way by then is abandoned, and made once more.
    pub release_before_ms: Option<i64>,
    /// When what is signed stops being of use.
    pub expires_at: Option<OffsetDateTime>,
}

/// An assertion's identifier, which is issued once (P4).
#[derive(Clone, Copy, Debug)]
pub struct Jti {
    /// The identifier.
    pub jti: Uuid,
    /// Of which client.
    pub client: ClientId,
    /// `iat`.
    pub issued_at: OffsetDateTime,
    /// `exp`.
    pub expires_at: OffsetDateTime,
}

/// A body to be answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// JSON.
    pub body: Vec<u8>,
    /// Whether it is a credential, which the ledger keeps sealed.
    pub is_secret: bool,
}

/// What the caller gets.
#[derive(Clone, Debug)]
pub struct Signed {
    /// JSON, the same bytes for the same idempotency key.
    pub body: Vec<u8>,
    /// Whether it was released earlier.
    pub replayed: bool,
}

/// How a request came in.
#[derive(Clone, Debug)]
pub struct Asked {
    /// SHA-256 over method, path and canonical body.
    pub digest: RequestDigest,
    /// The caller's key for it.
    pub idempotency: Option<IdempotencyKey>,
    /// How long the caller waits.
    pub deadline: Option<Duration>,
}

impl Asked {
    /// A request without an idempotency key, for which its caller waits as long as anybody.
    pub fn once(digest: RequestDigest) -> Self {
        Self {
            digest,
            idempotency: None,
            deadline: None,
        }
    }
}

/// Why nothing was signed, or nothing is answered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SigningError {
    /// The policy.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The queue in front of the groups is full.
    #[error("too many requests are waiting")]
    Busy,
    /// The key does not sign in its state.
    #[error("the key is {0}")]
    KeyNotActive(&'static str),
    /// The key's cryptoperiod is over.
    #[error("the key's cryptoperiod has ended")]
    KeyExpired,
    /// The key changed between the first look and the commit.
    #[error("the key changed meanwhile")]
    KeyEpochChanged,
    /// The caller or their token was revoked, or the token expired, meanwhile.
    #[error("the caller was revoked meanwhile")]
    CallerRevoked,
    /// The nonce is not to be signed now.
    #[error(transparent)]
    Login(#[from] LoginRefused),
    /// The idempotency key stands for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The same request is being worked on.
    #[error("the same request is being worked on")]
    InFlight,
    /// What was released under the key has expired.
    #[error("what was signed under this key has expired")]
    AnswerExpired,
    /// The device.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The device signed something else. An alarm.
    #[error("the device's signature does not verify")]
    BadSignature(#[from] BadSignature),
    /// The signature came too late to be of use, twice.
    #[error("the signature came too late to be of use")]
    Late,
    /// Another replica ended the intent after its lease.
    #[error("the request took longer than its lease")]
    LeaseLost,
    /// The caller's patience ended first. The work goes on.
    #[error("no answer within the deadline")]
    DeadlineExceeded,
    /// Nobody knows what the time is, which goes into what would be signed.
    #[error("this service's clock is {0} ms ahead of the database's")]
    ClockOff(i64),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl SigningError {
    /// Whether the key that was meant does not sign any more: its wallet or client may have another
    /// one by now.
    pub fn is_about_the_key(&self) -> bool {
        matches!(self, Self::KeyNotActive(_) | Self::KeyEpochChanged)
    }
}

/// Signs. Cheap to clone.
#[derive(Clone)]
pub struct Signer(Arc<Inner>);

/// What a signer works with.
pub struct Parts {
    /// Who may do what.
    pub policy: Arc<Policy>,
    /// The devices.
    pub vault: Arc<Vault>,
    /// The keys: one whose device signs something else is suspended.
    pub keys: Keys,
    /// Where evidence goes.
    pub log: Log,
    /// Seals answers that are credentials.
    pub sealing: Arc<Keyring>,
    /// The time.
    pub clock: Clock,
    /// Where work runs that outlives its request.
    pub tasks: TaskTracker,
}

struct Inner {
    parts: Parts,
    group: Group,
    deadline: Duration,
    lease: Duration,
    /// Denials that may still be put on record in this second: (second, how many).
    denials: std::sync::Mutex<(i64, u32)>,
}

/// How many denials a second are put on record; the rest are counted by whoever reads the log.
const DENIALS_A_SECOND: u32 = 20;

/// How often it is tried to put an alarm on record, and how long after each time.
const TRIES_TO_SUSPEND: u32 = 30;
const SUSPEND_AGAIN: Duration = Duration::from_secs(1);

/// An intent on record: what came of a permit in a committed group.
struct Intent {
    id: IntentId,
    draft: Box<dyn Draft>,
    prepared: Prepared,
    permit: Logged<Permit<Sign>>,
    credential: Uuid,
}

impl Signer {
    /// A signer whose group writes through the log among its parts.
    pub fn new(settings: &Settings, keep: &idempotency::Settings, parts: Parts) -> Self {
        let group = Group::start(settings, keep, &parts);
        Self(Arc::new(Inner {
            parts,
            group,
            deadline: Duration::from_millis(settings.deadline_ms.get()),
            lease: Duration::from_millis(settings.lease_ms.get()),
            denials: std::sync::Mutex::new((0, 0)),
        }))
    }

    /// Signs a draft for a caller, or says why not. The answer is durable before it is returned.
    pub async fn sign(
        &self,
        caller: &Caller,
        draft: Box<dyn Draft>,
        asked: Asked,
    ) -> Result<Signed, SigningError> {
        let deadline = self.deadline(asked.deadline);
        let until = Instant::now() + deadline;
        let (signer, caller) = (self.clone(), caller.clone());
        let work = self
            .0
            .parts
            .tasks
            .spawn(async move { signer.work(&caller, draft, &asked, until).await });
        match tokio::time::timeout(deadline, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(SigningError::LeaseLost), // the task died; the lease ends its intent
            Err(_) => Err(SigningError::DeadlineExceeded),
        }
    }

    async fn work(
        &self,
        caller: &Caller,
        draft: Box<dyn Draft>,
        asked: &Asked,
        until: Instant,
    ) -> Result<Signed, SigningError> {
        fail_point!("accepted");
        let permit = self.permit(caller, draft)?;
        if let Some(ahead_ms) = self.0.parts.clock.off_by_ms()
            && permit.action().tells_the_time()
        {
            return Err(SigningError::ClockOff(ahead_ms));
        }
        let turn = match self.ready(caller, &permit, until).await {
            Ok(turn) => turn,
            Err(away) => return self.earlier_or(caller, asked, away).await,
        };
        let joining = self.0.group.intend(caller, permit, asked, turn)?;
        let done = self.follow(caller, joining, asked, until).await?;
        if done.replayed {
            self.0.parts.log.vouch().await?; // nothing is answered before its release is durable
        }
        Ok(done)
    }

    /// Follows an intent to its end. What was released earlier is not yet vouched for.
    async fn follow(
        &self,
        caller: &Caller,
        mut joining: Joining,
        asked: &Asked,
        until: Instant,
    ) -> Result<Signed, SigningError> {
        let mut last = false;
        loop {
            let intent = match joining.claim().await? {
                Claim::Fresh(intent) => intent, // durable, or we do not get past this line
                Claim::Standing(key) => return self.standing(caller, &key, asked.digest).await,
            };
            fail_point!("intent-told");
            match self.finish(*intent, until).await? {
                Ok(body) => {
                    return Ok(Signed {
                        body,
                        replayed: false,
                    });
                }
                Err(_) if last => return Err(SigningError::Late),
                Err(late) => {
                    let permit = self.permit(caller, late)?;
                    joining =
                        self.0
                            .group
                            .intend(caller, permit, asked, Turn::default().until(until))?;
                    last = true;
                }
            }
        }
    }

    /// How long a caller waits who asks for this.
    pub fn deadline(&self, own: Option<Duration>) -> Duration {
        own.map_or(self.0.deadline, |own| own.min(self.0.deadline))
    }

    /// Puts a leaf on record: it is durable when this returns.
    pub async fn witness(&self, leaf: Leaf) -> Result<(), SigningError> {
        self.0.group.witness(leaf).await
    }

    /// Puts on record that a caller gets what was signed for earlier with this key, unless the key or
    /// the caller has lost their right to it meanwhile: asked behind the gate, as for a release.
    pub async fn hand_out(
        &self,
        caller: &Caller,
        key: &Key,
        leaf: Leaf,
    ) -> Result<(), SigningError> {
        self.0.group.hand_out(caller, key, leaf).await
    }

    /// SHA-256 of the policy that decides, as leaves have it.
    pub fn policy_digest(&self) -> [u8; 32] {
        self.0.parts.policy.digest()
    }

    /// Whether the policy lets a caller do this. Where a denial is no refusal, and stays off the record.
    pub fn would(&self, caller: &Caller, action: Action, resource: &Resource) -> bool {
        let decided = self.0.parts.policy.decide(caller, action, resource);
        decided.is_ok()
    }

    /// Whether groups are still written: without that nothing is signed until a restart.
    pub fn is_alive(&self) -> bool {
        self.0.group.is_alive()
    }

    /// What was released for this request before, if anything was. For a request that could not be
    /// made any more, its expiration having passed meanwhile: it still has its one answer (P3).
    pub async fn earlier(
        &self,
        caller: &Caller,
        key: &IdempotencyKey,
        request: RequestDigest,
    ) -> Result<Option<Signed>, SigningError> {
        match self.standing(caller, key, request).await {
            Ok(signed) => {
                self.0.parts.log.vouch().await?;
                Ok(Some(signed))
            }
            Err(SigningError::InFlight | SigningError::KeyReused) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes an intent to its end. `Err(draft)`: it came too late and may be tried once more.
    async fn finish(
        &self,
        intent: Intent,
        until: Instant,
    ) -> Result<Result<Vec<u8>, Box<dyn Draft>>, SigningError> {
        fail_point!("device-before");
        let signed = self.signature(&intent, until).await;
        fail_point!("device-after");
        let sign = intent.permit.get().action();
        let checked = match signed.map(|raw| Checked::check(&raw, sign)) {
            Ok(Ok(checked)) => checked,
            Ok(Err(bad)) => return Err(self.alarm(&intent, bad).await),
            Err(CustodyError::NotASignature(why)) => {
                tracing::error!(intent.id = %intent.id, why, "a device gave no signature");
                return Err(self.alarm(&intent, BadSignature::Malformed).await);
            }
            Err(error) => {
                self.end(&intent, How::Abandoned("no-signature")).await;
                return Err(error.into());
            }
        };
        fail_point!("checked");
        let answer = intent.draft.answer(intent.id, &intent.prepared, &checked);
        let stored = if answer.is_secret {
            self.0
                .parts
                .sealing
                .seal(intent.id.uuid().as_bytes(), &answer.body)
        } else {
            answer.body.clone()
        };
        let release = How::released(&intent, &checked, &answer, stored);
        let ended = self.0.group.end(&intent, release).await?; // durable, or nobody sees it
        fail_point!("release-told");
        match ended {
            Ended::AsAsked => Ok(Ok(answer.body)),
            Ended::Late => Ok(Err(intent.draft)),
            Ended::Lost => Err(SigningError::LeaseLost),
            Ended::Refused(why) => {
                if matches!(why, SigningError::BadSignature(_)) {
                    self.0.parts.vault.forget_all(); // the key is suspended
                }
                Err(why)
            }
        }
    }

    /// Refuses a signature that must not leave, and has its key suspended with the same commit. Tried
    /// until it is durable, or long enough: until then other signatures of the key, which are checked
    /// too, may still leave.
    async fn alarm(&self, intent: &Intent, bad: BadSignature) -> SigningError {
        let key = intent.draft.key();
        tracing::error!(key.id = %key.id, key.name = %key.name, intent.id = %intent.id, error = %bad,
            "a device's signature does not verify under the key on record");
        for _ in 0..TRIES_TO_SUSPEND {
            match self.0.group.end(intent, How::Alarmed(bad)).await {
                Ok(_) => {
                    self.0.parts.vault.forget_all(); // what is open for the key stays open nowhere here
                    return bad.into();
                }
                Err(error) => {
                    tracing::warn!(key.id = %key.id, %error, "the key is not suspended yet");
                    tokio::time::sleep(SUSPEND_AGAIN).await;
                }
            }
        }
        tracing::error!(key.id = %key.id, key.name = %key.name,
            "the key could not be suspended: suspend it yourself");
        bad.into()
    }

    /// Ends an intent without a signature. Where that cannot be written, the lease ends it.
    async fn end(&self, intent: &Intent, how: How) {
        if let Err(error) = self.0.group.end(intent, how).await {
            tracing::warn!(intent.id = %intent.id, %error, "the intent ends with its lease");
        }
    }

    /// The answer that an idempotency key stands for, to its holder who may still have it, once it is
    /// vouched for.
    async fn standing(
        &self,
        caller: &Caller,
        key: &IdempotencyKey,
        request: RequestDigest,
    ) -> Result<Signed, SigningError> {
        let standing =
            idempotency::records::standing(caller.id, key, self.0.parts.log.ledger()).await?;
        let Some(standing) = standing else {
            return Err(SigningError::InFlight);
        };
        if standing.request != request {
            return Err(SigningError::KeyReused);
        }
        let (Some(id), Some(released)) = (standing.intent, standing.released) else {
            return Err(SigningError::InFlight);
        };
        if released.sealed && released.is_over {
            return Err(SigningError::AnswerExpired);
        }
        let body = if released.sealed {
            self.0
                .parts
                .sealing
                .open(id.uuid().as_bytes(), &released.answer)
                .map_err(|e| LedgerError::Corrupt("releases", e.to_string()))?
                .to_vec()
        } else {
            released.answer
        };
        Ok(Signed {
            body,
            replayed: true,
        })
    }

    /// Whether the policy lets a caller do this at all; a denial goes on record. For work before there
    /// is a draft: it is asked again then.
    pub fn may(&self, caller: &Caller, action: Action, resource: &Resource) -> Result<(), Denied> {
        let decided = self.0.parts.policy.decide(caller, action, resource);
        decided.inspect_err(|denied| self.note(caller, denied, resource))
    }

    /// Asks the policy, and puts a denial on record.
    fn permit(
        &self,
        caller: &Caller,
        draft: Box<dyn Draft>,
    ) -> Result<Permit<Box<dyn Draft>>, Denied> {
        let resource = draft.resource();
        let permit = self.0.parts.policy.permit(caller, draft);
        permit.inspect_err(|denied| self.note(caller, denied, &resource))
    }

    fn note(&self, caller: &Caller, denied: &Denied, resource: &Resource) {
        let now_ms = self.0.parts.clock.unix_ms();
        let mut denials = self
            .0
            .denials
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if denials.0 != now_ms / 1000 {
            *denials = (now_ms / 1000, 0);
        }
        denials.1 += 1;
        if denials.1 <= DENIALS_A_SECOND {
            let denial = leaf::Denial {
                caller: caller.id.uuid(),
                action: denied.action.name().to_owned(),
                resource: resource.to_string(),
            };
            self.0.group.note(Leaf::new(now_ms, Event::Denied(denial)));
        }
    }
}

/// Whether a key with this state signs for this.
fn signs(state: KeyState, business: Business) -> bool {
    use KeyState::{Active, Compromised, Deactivated, PreActivation, Retiring, Suspended};
    match business {
        Business::Ordinary => state == Active,
        Business::Reduction => matches!(state, Active | Retiring),
        Business::Unwinding => matches!(
            state,
            Active | Retiring | Suspended | Deactivated | Compromised
        ),
        Business::Probe => matches!(
            state,
            PreActivation | Retiring | Suspended | Compromised | Deactivated
        ),
    }
}
