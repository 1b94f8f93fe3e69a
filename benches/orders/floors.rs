//! What the service stands on, by itself: the device, and a commit.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::{Session, UserType};
use sqlx::{Connection, PgConnection};

use crate::load::Measured;
use crate::stage::{Key, Token};

/// The device's own speed.
pub(crate) struct Device {
    pub(crate) operation: &'static str,
    pub(crate) sessions: usize,
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
