//! PKCS#11 tokens: hardware modules and all that look like one.
//!
//! It promises that a key made here is sensitive, never extractable and for signing only, by the token's
//! own word, read back; that "no such key" is believed only of a token shown to be healthy; that the
//! service recovers from a lost session, login or token without a restart; and that nobody waits longer
//! than the deadline. It **trusts** the module in our own process: a library that crashes takes the
//! service with it. Where that is too much, the module runs in a process of its own (`isolation.rs`).
//!
//! # Why
//! A session belongs to one thread, and calls block: so a few threads own the sessions (`worker.rs`), and
//! async code talks to them over a bounded queue (`workers.rs`). What is done in a session is done at a
//! desk (`desk.rs`). Recovery's unit is the module, which is initialized once a process (`module.rs`); a
//! token is found in it by its name (`token.rs`, `uri`); a table says which error leads to which step
//! (`recovery.rs`). We never log out: that would log out every session of the process.

use async_trait::async_trait;

use self::find::healthy;
use super::{
    Adopter, Custody, CustodyError, Describer, Destruction, DeviceKey, Evidence, Importer,
    KeyTemplate, Line, Load, OnTrial, Place, RawSignature, Sealer, SealingKeyMaker, Sign, Turn,
};
use crate::audit::Logged;
use crate::id::CallerId;
use crate::policy::Permit;

mod adoption;
#[cfg(test)]
mod adoption_tests;
mod attributes;
mod crew;
mod description;
mod desk;
mod device;
mod fault;
#[cfg(test)]
mod fault_tests;
mod find;
mod import;
mod init;
pub mod isolation;
mod module;
mod object;
mod opening;
mod pin;
mod pin_change;
mod public;
mod queue;
mod recovery;
mod sealing_keys;
mod secret;
#[cfg(test)]
mod secret_tests;
mod settings;
mod shared;
mod signature;
#[cfg(test)]
mod tests;
mod token;
mod trial;
pub mod uri;
#[cfg(test)]
mod variety_tests;
mod worker;
mod workers;

pub use device::Pkcs11;
pub use pin::PinChange;
pub use settings::Settings;

#[async_trait]
impl Custody for Pkcs11 {
    async fn sign(&self, permit: &Logged<Permit<Sign>>) -> Result<RawSignature, CustodyError> {
        let Sign {
            key,
            payload,
            tries,
            caller,
            ..
        } = permit.get().action();
        payload.fits(key.place.algorithm)?;
        let (key, payload, tries) = (key.clone(), payload.clone(), tries.clone());
        let workers = self.workers().await?;
        let signed = workers.run_for(Some(*caller), move |desk| {
            tries.count();
            object::sign(desk, &key, &payload)
        });
        signed.await
    }

    async fn ready(&self) -> Result<(), CustodyError> {
        self.workers_at_once().await?.ready(None)
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %template.id))]
    async fn generate(&self, template: &KeyTemplate) -> Result<DeviceKey, CustodyError> {
        let (id, algorithm) = (template.id, template.algorithm);
        self.run_alone(move |desk| object::generate(desk, id, algorithm))
            .await
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %key.id))]
    async fn inspect(&self, key: &Place) -> Result<DeviceKey, CustodyError> {
        let key = key.clone();
        self.run(move |desk| object::inspect(desk, &key)).await
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %key.id))]
    async fn recover(&self, key: &Place) -> Result<DeviceKey, CustodyError> {
        let found = self.inspect(key).await?;
        match attributes::unsafe_because(&found.attributes) {
            None => Ok(found),
            Some(why) => Err(CustodyError::Refused(format!(
                "the key that was made: {why}"
            ))),
        }
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %key.id))]
    async fn destroy(&self, key: &Place) -> Result<Destruction, CustodyError> {
        let key = key.clone();
        self.run(move |desk| {
            import::forget(desk, key.id)?;
            object::destroy(desk, &key)
        })
        .await?;
        Ok(Destruction::Done)
    }

    fn evidence(&self) -> Evidence {
        Evidence::Claimed
    }

    async fn health(&self) -> Result<(), CustodyError> {
        self.run(|desk| healthy(desk)).await
    }

    fn load(&self) -> Load {
        Pkcs11::load(self)
    }

    fn queues(&self) -> Option<&dyn Line> {
        Some(self)
    }

    fn adopts(&self) -> Option<&dyn Adopter> {
        Some(self)
    }

    fn imports(&self) -> Option<&dyn Importer> {
        Some(self)
    }

    fn seals(&self) -> Option<&dyn Sealer> {
        Some(self)
    }

    fn makes_sealing_keys(&self) -> Option<&dyn SealingKeyMaker> {
        Some(self)
    }

    fn describes(&self) -> Option<&dyn Describer> {
        Some(self)
    }

    fn on_trial(&self) -> Option<&dyn OnTrial> {
        Some(self)
    }
}

#[async_trait]
impl Line for Pkcs11 {
    /// There is no place to take: what is put in the queue keeps the caller's line.
    async fn turn(&self, _key: &Place, caller: CallerId) -> Result<Turn, CustodyError> {
        self.workers_at_once().await?.ready(Some(caller))?;
        Ok(Turn::default())
    }
}
