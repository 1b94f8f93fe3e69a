//! What was signed with a key at a moment: the key itself where it is attested, wallets, clients.

use uuid::Uuid;

use crate::authority::{self, Kind, Snapshot, Stated, form};
use crate::halts::Touches;
use crate::id::KeyId;
use crate::ledger::LedgerError;
use crate::policy::Resource;

/// Something that is signed with a key.
pub(super) struct Thing {
    pub(super) on: &'static str,
    pub(super) name: String,
    pub(super) resource: Resource,
}

/// What the key signed for: itself where it is attested, wallets, clients.
pub(super) fn things(then: &Snapshot, key: KeyId) -> Result<Vec<Thing>, LedgerError> {
    let stated = then.find(Kind::Key, key.uuid());
    let own = stated.map(|it| of_key(key.uuid(), it)).transpose()?;
    let mut things: Vec<Thing> = own.into_iter().collect();
    things.extend(wallets(then, |it| it.key == key.uuid())?);
    things.extend(clients(then, |it| it.key == key.uuid())?);
    Ok(things)
}

pub(super) fn keys(
    then: &Snapshot,
    wanted: impl Fn(&form::Key) -> bool,
) -> Result<Vec<Thing>, LedgerError> {
    let mut things = Vec::new();
    for (id, stated) in then.of(Kind::Key) {
        if wanted(&authority::read(Kind::Key, stated)?) {
            things.push(of_key(id, stated)?);
        }
    }
    Ok(things)
}

fn of_key(id: Uuid, stated: &Stated) -> Result<Thing, LedgerError> {
    let form: form::Key = authority::read(Kind::Key, stated)?;
    let touches = Touches {
        key: Some(id.into()),
        ..Touches::default()
    };
    let resource = Resource::owned("Key", &form.name, &form.owner, &form.environment)
        .with("purpose", &form.purpose)
        .touching(touches);
    Ok(Thing {
        on: "key",
        name: form.name,
        resource,
    })
}

pub(super) fn wallets(
    then: &Snapshot,
    wanted: impl Fn(&form::Wallet) -> bool,
) -> Result<Vec<Thing>, LedgerError> {
    let mut things = Vec::new();
    for (id, stated) in then.of(Kind::Wallet) {
        let form: form::Wallet = authority::read(Kind::Wallet, stated)?;
        let key = then.find(Kind::Key, form.key).filter(|_| wanted(&form));
        let Some(key) = key else { continue };
        let key: form::Key = authority::read(Kind::Key, key)?;
        let touches = Touches {
            key: Some(form.key.into()),
            wallet: Some(id.into()),
            client: None,
        };
        things.push(Thing {
            on: "wallet",
            resource: Resource::owned("Wallet", &form.name, &form.owner, &key.environment)
                .touching(touches),
            name: form.name,
        });
    }
    Ok(things)
}

pub(super) fn clients(
    then: &Snapshot,
    wanted: impl Fn(&form::Client) -> bool,
) -> Result<Vec<Thing>, LedgerError> {
    let mut things = Vec::new();
    for (id, stated) in then.of(Kind::Client) {
        let form: form::Client = authority::read(Kind::Client, stated)?;
        if wanted(&form) {
            let touches = Touches {
                key: Some(form.key.into()),
                wallet: None,
                client: Some(id.into()),
            };
            things.push(Thing {
                on: "client",
                resource: Resource::owned("Client", &form.name, &form.owner, &form.environment)
                    .touching(touches),
                name: form.name,
            });
        }
    }
    Ok(things)
}
