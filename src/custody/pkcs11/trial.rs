//! A token's own speed: sessions in threads of their own, each with the handle kept.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{ObjectClass, ObjectHandle};

use super::Pkcs11;
use super::desk::{Desk, Seat, sit_down};
use super::fault::Fault;
use super::find::only;
use super::object;
use super::token::close;
use super::uri::KeyName;
use crate::custody::trial::{DIGEST, MESSAGE};
use crate::custody::{Algorithm, CustodyError, OnTrial, Place, Trial, Tried};
use crate::id::KeyId;

#[async_trait]
impl OnTrial for Pkcs11 {
    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn try_out(&self, trial: Trial) -> Result<Tried, CustodyError> {
        // Past the queue and the workers' sessions, which belong to the service and not to the token.
        self.run_alone(move |desk| {
            let id = KeyId::new();
            object::generate(desk, id, trial.algorithm)?;
            let place = Place {
                id,
                algorithm: trial.algorithm,
                device_ref: None,
            };
            let tried = sign(desk, &place, trial);
            object::destroy(desk, &place)?;
            tried
        })
        .await
    }
}

fn sign(desk: &mut Desk<'_>, place: &Place, trial: Trial) -> Result<Tried, Fault> {
    let (token, call) = (desk.token, desk.call);
    let name = KeyName::of(place)?;
    let mut seats: Vec<(Seat, ObjectHandle)> = Vec::new();
    let at_once = if call.is_alone() { 1 } else { trial.at_once };
    for _ in 0..at_once {
        let mut seat = sit_down(token, call)?;
        let seated = Desk {
            call,
            token,
            seat: &mut seat,
        };
        let key = only(&seated, place.id, &name, ObjectClass::PRIVATE_KEY)?;
        seats.push((seat, key));
    }
    let begun = trial.begin();
    let until = begun.until();
    let signed: Result<Vec<Vec<Duration>>, Fault> = std::thread::scope(|scope| {
        let threads: Vec<_> = seats
            .iter_mut()
            .map(|(seat, key)| {
                let (key, algorithm) = (*key, place.algorithm);
                scope.spawn(move || sign_until(seat, key, algorithm, until))
            })
            .collect();
        let ends = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        ends.map(|it| it.expect("a thread that signs does not panic"))
            .collect()
    });
    let tried = signed.map(|latencies| begun.end(latencies.concat()));
    for (seat, _) in seats {
        close(seat.session);
    }
    tried
}

/// At least once: a busy machine may begin late.
fn sign_until(
    seat: &mut Seat,
    key: ObjectHandle,
    algorithm: Algorithm,
    until: Instant,
) -> Result<Vec<Duration>, Fault> {
    let (mechanism, payload) = match algorithm {
        Algorithm::Secp256k1 => (Mechanism::Ecdsa, DIGEST.to_vec()),
        _ if seat.hashes_rsa => (Mechanism::Sha256RsaPkcs, MESSAGE.to_vec()),
        _ => (Mechanism::RsaPkcs, object::digest_info(&MESSAGE)),
    };
    let mut latencies = Vec::new();
    loop {
        let start = Instant::now();
        seat.session.sign(&mechanism, key, &payload)?;
        latencies.push(start.elapsed());
        if Instant::now() >= until {
            return Ok(latencies);
        }
    }
}
