//! A place for the ledger: its roles, its database, and what the service may do in it.
//!
//! A password travels as what the server keeps of it (SCRAM, RFC 7677): whatever the server logs of these statements
//! lets nobody in.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use aws_lc_rs::{pbkdf2, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{AssertSqlSafe, Row as _};
use zeroize::Zeroizing;

use super::{Ledger, LedgerError};

/// What the service's role may do: the statements of `deploy/grants.sql`.
const GRANTS: &str = include_str!("../../deploy/grants.sql");

/// The service's role in there.
pub const SERVICE_ROLE: &str = "chancery_service";

/// As many as Postgres makes by itself.
const ROUNDS: std::num::NonZeroU32 = std::num::NonZeroU32::new(4_096).unwrap();

impl Ledger {
    /// The same server, another database.
    #[must_use]
    pub fn in_database(&self, name: &str) -> Self {
        Self::of(self.servers.in_database(name), 2)
    }

    /// Gives a role this password, and makes it where there is none.
    pub async fn provide_role(
        &self,
        role: &str,
        password: &SecretString,
    ) -> Result<(), LedgerError> {
        let row = sqlx::query("select exists (select from pg_roles where rolname = $1) as is")
            .bind(role)
            .fetch_one(self.pool())
            .await?;
        let begin = if row.try_get("is")? {
            "alter"
        } else {
            "create"
        };
        let form = format!("{begin} role %I login password %L");
        self.run(&form, &[role, &verifier(password)?]).await
    }

    /// Makes a database for this owner, unless there is one; says whether it did.
    pub async fn provide_database(&self, name: &str, owner: &str) -> Result<bool, LedgerError> {
        let row = sqlx::query("select exists (select from pg_database where datname = $1) as is")
            .bind(name)
            .fetch_one(self.pool())
            .await?;
        if row.try_get("is")? {
            return Ok(false);
        }
        let form = "create database %I owner %I encoding 'UTF8' template template0";
        self.run(form, &[name, owner]).await?;
        Ok(true)
    }

    /// Gives this database's schema to its owner, and lets nobody else make anything in it.
    pub async fn give_schema(&self, owner: &str) -> Result<(), LedgerError> {
        self.run("alter schema public owner to %I", &[owner])
            .await?;
        self.run("revoke create on schema public from public", &[])
            .await
    }

    /// Lets the service's role do what it has to do, and no more. As the schema's owner.
    pub async fn grant(&self) -> Result<(), LedgerError> {
        sqlx::raw_sql(GRANTS).execute(self.pool()).await?;
        Ok(())
    }

    /// Runs a statement into which the server itself puts names (`%I`) and texts (`%L`).
    async fn run(&self, form: &str, with: &[&str]) -> Result<(), LedgerError> {
        let row = sqlx::query("select format($1, variadic $2::text[]) as it")
            .bind(form)
            .bind(with)
            .fetch_one(self.pool())
            .await?;
        let statement: String = row.try_get("it")?;
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(self.pool())
            .await?;
        Ok(())
    }
}

/// What the server keeps of a password: from it nobody finds the password, or gets in.
fn verifier(password: &SecretString) -> Result<String, LedgerError> {
    let mut salt = [0; 16];
    rand::fill(&mut salt).map_err(|_| LedgerError::Settings("no randomness".into()))?;
    Ok(verifier_with(password, &salt))
}

fn verifier_with(password: &SecretString, salt: &[u8]) -> String {
    let mut salted = Zeroizing::new([0; 32]);
    let password = password.expose_secret().as_bytes();
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        ROUNDS,
        salt,
        password,
        salted.as_mut(),
    );
    let key = Key::new(HMAC_SHA256, salted.as_ref());
    let stored = digest(&SHA256, sign(&key, b"Client Key").as_ref());
    let server = sign(&key, b"Server Key");
    format!(
        "SCRAM-SHA-256${ROUNDS}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored),
        STANDARD.encode(server)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_password_is_what_the_rfc_says() {
        // RFC 7677, section 3: from it the exchange there follows.
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let kept = verifier_with(&SecretString::from("pencil"), &salt);
        assert_eq!(
            kept,
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }
}
