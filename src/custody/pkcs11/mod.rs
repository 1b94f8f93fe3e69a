//! PKCS#11 tokens: hardware modules and all that look like one.
//!
//! It promises that a key made here is sensitive, never extractable and for signing only by the
//! token's own word, read back; that "no such key" is said only by a token shown to be healthy; that
//! a lost session, login or token is recovered from without a restart; and that nobody waits longer
//! than the deadline. It **trusts** the module in our own process: a library that crashes takes the
//! service with it. Where that is too much, run it in a process of its own (`isolation.rs`).
//!
//! # Why
//! A session belongs to one thread, and calls block, so a few threads own sessions and async code
//! talks to them over a bounded queue (`workers.rs`). Recovery's unit is the module, which is initialized once a
//! process (`module.rs`); a token is found in it by its name (`token.rs`, `uri.rs`); which error leads to
//! which step is a table (`recovery.rs`). We never log out: that would log out every session of the process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cryptoki::session::UserType;
use secrecy::SecretString;
use zeroize::Zeroizing;

use self::module::Module;
use self::recovery::brief;
use self::token::Token;
use self::uri::{KeyName, TokenName};
use self::workers::Workers;
use super::wrapping::{Scheme, WrappingPair};
use super::{
    BadMaterial, Custody, CustodyError, Description, Destruction, DeviceRef, DeviceSealingKey,
    Evidence, Generated, KeyRef, Material, Offer, Place, RawSignature, Sign, Wanted,
};
use crate::audit::Logged;
use crate::id::KeyId;
use crate::policy::Permit;

mod adoption;
#[cfg(test)]
mod adoption_tests;
mod attributes;
mod crew;
mod description;
#[cfg(test)]
mod fault_tests;
mod import;
pub mod isolation;
mod module;
mod object;
mod pin;
mod public;
mod recovery;
mod secret;
mod signature;
#[cfg(test)]
mod tests;
mod token;
pub mod uri;
#[cfg(test)]
mod variety_tests;
mod worker;
mod workers;

pub use pin::{Pin, PinChange};

/// How long a token may take to make a key pair: RSA needs primes, and small devices look long.
const GENERATION: Duration = Duration::from_mins(2);

/// Where a token is and how to talk to it.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The module: a shared library, such as `/usr/lib/softhsm/libsofthsm2.so`.
    pub module: PathBuf,
    /// The token, as a `pkcs11:` URI (RFC 7512). Either this, or label, serial number or both.
    #[serde(default)]
    pub token: Option<TokenName>,
    /// The token's label.
    #[serde(default)]
    pub token_label: Option<String>,
    /// The token's serial number.
    #[serde(default)]
    pub token_serial: Option<String>,
    /// Whether nothing may be written to the token, so that keys are made elsewhere. A token that is
    /// write-protected is taken so without it.
    #[serde(default)]
    pub read_only: bool,
    /// The file with the user's PIN. A newline at its end is not part of it.
    pub pin_file: PathBuf,
    /// Sessions, each with its thread. One more is kept open and idle. Devices have limits.
    #[serde(default = "default_sessions")]
    pub sessions: usize,
    /// How many operations may wait for a session. More are refused as busy.
    #[serde(default = "default_queue")]
    pub queue: usize,
    /// How long an operation may take, waiting included, in milliseconds. Making a key may take longer.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// How long one call into the module may take before it counts as hanging, in milliseconds. More
    /// than the slowest signature, and less than callers wait.
    #[serde(default = "default_call_timeout_ms")]
    pub call_timeout_ms: u64,
    /// Whether the module runs in a process of its own, under p11-kit, where a call that hangs is ended
    /// by killing it.
    #[serde(default)]
    pub isolated: bool,
    /// How many threads may be lost in calls that hang, each replaced by another.
    #[serde(default = "default_replacements")]
    pub replacements: usize,
}

fn default_sessions() -> usize {
    4
}

fn default_queue() -> usize {
    1024
}

fn default_timeout_ms() -> u64 {
    5000
}

fn default_call_timeout_ms() -> u64 {
    2000
}

fn default_replacements() -> usize {
    4
}

impl Settings {
    /// The token, which has to be named in one way.
    pub(super) fn token(&self) -> Result<TokenName, CustodyError> {
        let (label, serial) = (self.token_label.clone(), self.token_serial.clone());
        let wrong = match (&self.token, &label, &serial) {
            (Some(token), None, None) => return Ok(token.clone()),
            (None, None, None) => "name the token: token, token_label or token_serial",
            (Some(_), ..) => "the token is named twice: token, and token_label or token_serial",
            (None, ..) => return Ok(TokenName::of(label, serial)),
        };
        Err(CustodyError::Refused(wrong.into()))
    }
}

/// A token, reached over PKCS#11.
pub struct Pkcs11 {
    backend: String,
    workers: Workers,
    sessions: usize,
}

impl Pkcs11 {
    /// Loads the module, finds the token and logs in. `backend` is its name in the configuration.
    ///
    /// It fails at once where the library, the token or the PIN is wrong: what a start must tell.
    pub async fn open(backend: &str, settings: Settings) -> Result<Self, CustodyError> {
        let pin = Arc::new(Pin::new(&settings.pin_file));
        Self::open_with(backend, settings, pin).await
    }

    /// The same with a PIN that may have been refused before.
    pub(super) async fn open_with(
        backend: &str,
        settings: Settings,
        pin: Arc<Pin>,
    ) -> Result<Self, CustodyError> {
        if settings.sessions == 0 || settings.queue == 0 || settings.call_timeout_ms == 0 {
            let why = "sessions, queue and call_timeout_ms must be at least 1";
            return Err(CustodyError::Refused(why.into()));
        }
        let name = settings.token()?;
        pin.read()?;
        let (path, isolated) = (settings.module.clone(), settings.isolated);
        let module = blocking(move || Module::open(&path, isolated)).await?;
        let token = Token::new(name, settings.read_only, pin);
        let opened = Self {
            backend: backend.to_owned(),
            sessions: settings.sessions,
            workers: Workers::start(backend, module, token, &settings)?,
        };
        opened.health().await?;
        Ok(opened)
    }

    /// Held by one who generates, until the device is done.
    async fn alone(&self) -> Result<Arc<tokio::sync::OwnedMutexGuard<()>>, CustodyError> {
        let alone = self.workers.generating().lock_owned();
        let alone = tokio::time::timeout(GENERATION, alone).await;
        Ok(Arc::new(alone.map_err(|_| CustodyError::Busy)?))
    }

    /// An offer of a token that unwraps nothing: the key is unwrapped here, with a pair whose private half
    /// the token seals, and the token is handed it open.
    async fn offer_to_create(&self, id: KeyId) -> Result<Offer, CustodyError> {
        let pair = blocking(WrappingPair::generate).await?;
        let (aad, private) = (import::ticket_aad(id), pair.to_pkcs8()?);
        let sealed = self.seal(&aad, &private).await?;
        Ok(Offer {
            scheme: Scheme::Sha256,
            wrapping_key: pair.public()?,
            ticket: [&[import::CREATES], sealed.as_slice()].concat(),
            device_ref: None,
        })
    }

    /// Initializes an empty slot as a token with this label and these PINs, for `dev` and tests.
    ///
    /// In the product, so that no PIN stands on a command line. A token that has the label already is
    /// left alone, and refused.
    pub async fn init_token(
        module: &Path,
        so_pin: SecretString,
        pin: SecretString,
        label: &str,
    ) -> Result<(), CustodyError> {
        let (path, label) = (module.to_owned(), label.to_owned());
        blocking(move || {
            let module = Module::shared(&path)?;
            init_token(&module, &so_pin, &pin, &label)
        })
        .await
    }
}

#[async_trait]
impl Custody for Pkcs11 {
    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn sign(&self, permit: &Logged<Permit<Sign>>) -> Result<RawSignature, CustodyError> {
        let Sign {
            key,
            payload,
            tries,
            ..
        } = permit.get().action();
        payload.fits(key.place.algorithm)?;
        let (key, payload, tries) = (key.clone(), payload.clone(), tries.clone());
        self.workers
            .run(move |desk| {
                tries.count();
                object::sign(desk, &key, &payload)
            })
            .await
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %wanted.id))]
    async fn generate(&self, wanted: &Wanted) -> Result<Generated, CustodyError> {
        let (id, algorithm) = (wanted.id, wanted.algorithm);
        let alone = self.alone().await?;
        self.workers
            .run_within(GENERATION, move |desk| {
                let _alone = &alone; // released when the device is done, not when we stop waiting
                object::generate(desk, id, algorithm)
            })
            .await
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %key.id))]
    async fn inspect(&self, key: &Place) -> Result<Generated, CustodyError> {
        let key = key.clone();
        self.workers
            .run(move |desk| object::inspect(desk, &key))
            .await
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %key.id))]
    async fn recover(&self, key: &Place) -> Result<Generated, CustodyError> {
        let found = self.inspect(key).await?;
        match attributes::unsafe_because(&found.attributes) {
            None => Ok(found),
            Some(why) => Err(CustodyError::Refused(format!(
                "the key that was made: {why}"
            ))),
        }
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn look_up(&self, device_ref: &DeviceRef) -> Result<Generated, CustodyError> {
        let (name, token) = KeyName::parse(device_ref.as_str())
            .map_err(|error| CustodyError::NotAdoptable(error.to_string()))?;
        self.workers
            .run(move |desk| adoption::look_up(desk, &name, token.as_ref()))
            .await
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %wanted.id))]
    async fn prepare_import(
        &self,
        wanted: &Wanted,
        _: Option<&Place>,
    ) -> Result<Offer, CustodyError> {
        let (id, algorithm) = (wanted.id, wanted.algorithm);
        let alone = self.alone().await?;
        let prepared = self.workers.run_within(GENERATION, move |desk| {
            let _alone = &alone;
            import::prepare(desk, id, algorithm)
        });
        match prepared.await? {
            Some(offer) => Ok(offer),
            None => self.offer_to_create(wanted.id).await,
        }
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %announced.place.id))]
    async fn import(
        &self,
        announced: &KeyRef,
        ticket: &[u8],
        wrapped: &[u8],
    ) -> Result<Generated, CustodyError> {
        let announced = announced.clone();
        match ticket.split_first() {
            Some((&import::UNWRAPS, scheme)) => {
                let scheme = import::scheme(scheme).ok_or(CustodyError::DoesNotUnwrap)?;
                let wrapped = wrapped.to_vec();
                let brought = self.workers.run_within(GENERATION, move |desk| {
                    import::unwrap_key(desk, &announced, scheme, &wrapped)
                });
                brought.await
            }
            Some((&import::CREATES, pair)) => {
                let aad = import::ticket_aad(announced.place.id);
                let pair = WrappingPair::from_pkcs8(&self.open(&aad, pair).await?)?;
                let wrapped = wrapped.to_vec();
                let material = blocking(move || {
                    let refused = |error: BadMaterial| CustodyError::NotTheKey(error.to_string());
                    let pkcs8 = pair.unwrap(Scheme::Sha256, &wrapped)?;
                    Material::from_pkcs8(&pkcs8).map_err(refused)
                });
                let material = material.await?;
                let brought = self.workers.run_within(GENERATION, move |desk| {
                    import::create_key(desk, &announced, &material)
                });
                brought.await
            }
            _ => Err(CustodyError::DoesNotUnwrap),
        }
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %key.id))]
    async fn forget_import(&self, key: &Place) -> Result<(), CustodyError> {
        let id = key.id;
        let forgotten = self.workers.run(move |desk| import::forget(desk, id));
        forgotten.await
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %key.id))]
    async fn destroy(&self, key: &Place) -> Result<Destruction, CustodyError> {
        let key = key.clone();
        self.workers
            .run(move |desk| {
                import::forget(desk, key.id)?;
                object::destroy(desk, &key)
            })
            .await?;
        Ok(Destruction::Done)
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CustodyError> {
        let aad = Arc::new(aad.to_vec());
        let plaintext = Arc::new(Zeroizing::new(plaintext.to_vec()));
        let work = (Arc::clone(&aad), Arc::clone(&plaintext));
        let sealed = self
            .workers
            .run(move |desk| secret::seal(desk, &work.0, &work.1));
        if let Some(sealed) = sealed.await? {
            return Ok(sealed);
        }
        let alone = self.alone().await?;
        let sealed = self.workers.run_within(GENERATION, move |desk| {
            let _alone = &alone;
            secret::make_key(desk)?;
            secret::seal(desk, &aad, &plaintext)
        });
        let lost = || CustodyError::Unavailable("the new sealing key is not found".into());
        sealed.await?.ok_or_else(lost)
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        let (aad, sealed) = (aad.to_vec(), sealed.to_vec());
        self.workers
            .run(move |desk| secret::open(desk, &aad, &sealed))
            .await
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn describe(&self) -> Result<Description, CustodyError> {
        self.health().await?;
        let sessions = self.sessions;
        self.workers
            .run(move |desk| description::describe(desk, sessions))
            .await
    }

    fn evidence(&self) -> Evidence {
        Evidence::Claimed
    }

    async fn ready(&self) -> Result<(), CustodyError> {
        self.workers.ready()
    }

    async fn sealing_keys(&self) -> Result<Vec<DeviceSealingKey>, CustodyError> {
        self.workers.run(secret::list).await
    }

    fn sealed_under(&self, sealed: &[u8]) -> Option<String> {
        sealed_under(sealed)
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn make_sealing_key(&self) -> Result<String, CustodyError> {
        let alone = self.alone().await?;
        let made = self.workers.run_within(GENERATION, move |desk| {
            let _alone = &alone;
            secret::make_next(desk)
        });
        Ok(made.await?.to_string())
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn destroy_sealing_key(&self, id: &str) -> Result<(), CustodyError> {
        let id: KeyId = id.parse().map_err(|_| {
            CustodyError::Refused("a token's sealing keys are known by UUIDs".into())
        })?;
        self.workers
            .run(move |desk| secret::destroy(desk, id))
            .await
    }

    async fn health(&self) -> Result<(), CustodyError> {
        self.workers.run(|desk| object::healthy(desk)).await
    }
}

/// The sealing key that something names which a token sealed.
pub(super) fn sealed_under(sealed: &[u8]) -> Option<String> {
    secret::named(sealed)
}

/// Runs what calls into a library, away from the threads that must not block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CustodyError> + Send + 'static,
) -> Result<T, CustodyError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(CustodyError::Unavailable(error.to_string())))
}

fn init_token(
    module: &Module,
    so_pin: &SecretString,
    pin: &SecretString,
    label: &str,
) -> Result<(), CustodyError> {
    let refused = |error: &cryptoki::error::Error| CustodyError::Refused(brief(error));
    if label.is_empty() || label.len() > 32 {
        let why = "a token's label has 1 to 32 bytes";
        return Err(CustodyError::Refused(why.into()));
    }
    let call = module
        .enter(Instant::now() + GENERATION)
        .map_err(|_| CustodyError::Unavailable("the PKCS#11 module is down".into()))?;
    let context = call.context();
    let mut free = None;
    for slot in context.get_slots_with_token().map_err(|e| refused(&e))? {
        let Ok(info) = context.get_token_info(slot) else {
            continue;
        };
        if !info.token_initialized() {
            free.get_or_insert(slot);
        } else if info.label() == label {
            let why = format!("token exists: {label:?}");
            return Err(CustodyError::Refused(why));
        }
    }
    let slot = free.ok_or_else(|| CustodyError::Refused("no slot is free".into()))?;
    let init = || {
        context.init_token(slot, so_pin, label)?;
        let session = context.open_rw_session_no_drop(slot)?;
        let made = session
            .login(UserType::So, Some(so_pin))
            .and_then(|()| session.init_pin(pin));
        token::close(session);
        made
    };
    init().map_err(|e| refused(&e))
}
