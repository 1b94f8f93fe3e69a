//! What the service stands on, by itself: the device, and a commit.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use aws_sdk_kms::error::DisplayErrorContext;
use aws_sdk_kms::operation::sign::builders::SignFluentBuilder;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::{Session, UserType};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use crate::devices::{Kind, Kms, Token};
use crate::load::Measured;
use crate::stage::Key;

/// So long KMS is asked before it counts.
const WARM_UP: Duration = Duration::from_millis(300);

/// A device's own speed.
pub(crate) struct Floor {
    pub(crate) device: Kind,
    pub(crate) operation: &'static str,
    pub(crate) at_once: usize,
    pub(crate) signed: Measured,
}

/// Signs in so many sessions, a thread each, with the handle kept.
///
/// Not through `Custody`: that asks for a permit, and only the policy and a committed group make one.
pub(crate) fn sign(
    token: &Token,
    key: &Key,
    sessions: usize,
    time: Duration,
) -> anyhow::Result<Measured> {
    let context = Pkcs11::new(&token.module)?;
    // A second time in this process it says that it is initialized.
    let _ = context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let slot = context
        .get_slots_with_initialized_token()?
        .into_iter()
        .find(|slot| {
            context
                .get_token_info(*slot)
                .is_ok_and(|info| info.label() == token.label)
        })
        .context("the token is not there")?;
    let open = || -> anyhow::Result<Session> { Ok(context.open_ro_session(slot)?) };
    let anchor = open()?;
    let _ = anchor.login(UserType::User, Some(&token.pin));
    let sessions = std::iter::repeat_with(open)
        .take(sessions)
        .collect::<Result<Vec<_>, _>>()?;

    let start = Instant::now();
    let latencies = std::thread::scope(|scope| {
        let threads: Vec<_> = sessions
            .into_iter()
            .map(|session| scope.spawn(move || sign_until(&session, key, start + time)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a thread that signs does not panic"))
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    Ok(Measured::new(latencies.concat(), start.elapsed(), None))
}

fn sign_until(session: &Session, key: &Key, until: Instant) -> anyhow::Result<Vec<Duration>> {
    let template = [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Id(key.id.as_bytes().to_vec()),
    ];
    let found = session.find_objects(&template)?;
    ensure!(found.len() == 1, "{} keys have the id", found.len());
    let (mechanism, payload) = if key.is_rsa {
        (Mechanism::Sha256RsaPkcs, vec![7; 350])
    } else {
        (Mechanism::Ecdsa, vec![7; 32])
    };
    let mut latencies = Vec::new();
    loop {
        let start = Instant::now();
        if start >= until {
            return Ok(latencies);
        }
        session.sign(&mechanism, found[0], &payload)?;
        latencies.push(start.elapsed());
    }
}

/// Has so many digests signed at once by KMS, over connections that are kept.
pub(crate) async fn sign_in_kms(
    kms: &Kms,
    key: &Key,
    at_once: usize,
    time: Duration,
) -> anyhow::Result<Measured> {
    let algorithm = if key.is_rsa {
        SigningAlgorithmSpec::RsassaPkcs1V15Sha256
    } else {
        SigningAlgorithmSpec::EcdsaSha256
    };
    let sign = kms
        .client
        .sign()
        .key_id(key.device_ref.as_deref().context("a key has an ARN")?)
        .message(Blob::new([7; 32]))
        .message_type(MessageType::Digest)
        .signing_algorithm(algorithm);
    ask(&sign, at_once, WARM_UP).await?;
    ask(&sign, at_once, time).await
}

async fn ask(sign: &SignFluentBuilder, at_once: usize, time: Duration) -> anyhow::Result<Measured> {
    let start = Instant::now();
    let mut asking = JoinSet::new();
    for _ in 0..at_once {
        let sign = sign.clone();
        asking.spawn(async move {
            let mut latencies = Vec::new();
            loop {
                let begin = Instant::now();
                if begin >= start + time {
                    return anyhow::Ok(latencies);
                }
                let signed = sign.clone().send().await;
                signed.map_err(|error| anyhow!("{}", DisplayErrorContext(error)))?;
                latencies.push(begin.elapsed());
            }
        });
    }
    let mut latencies = Vec::new();
    while let Some(asked) = asking.join_next().await {
        latencies.extend(asked??);
    }
    Ok(Measured::new(latencies, start.elapsed(), None))
}

/// Commits one row of the size of a leaf, again and again.
pub(crate) async fn commit(url: &str, time: Duration) -> anyhow::Result<Measured> {
    let mut connection = PgConnection::connect(url).await?;
    let table = "create table if not exists bench_commits (id bigint generated always as identity primary key, leaf bytea not null)";
    sqlx::raw_sql(table).execute(&mut connection).await?;
    let mut latencies = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < time {
        let start = Instant::now();
        sqlx::query("insert into bench_commits (leaf) values ($1)")
            .bind([7_u8; 400].as_slice())
            .execute(&mut connection)
            .await?;
        latencies.push(start.elapsed());
    }
    let measured = Measured::new(latencies, begin.elapsed(), None);
    sqlx::raw_sql("drop table bench_commits")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(measured)
}
