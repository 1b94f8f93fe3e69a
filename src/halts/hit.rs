//! What somebody is about to do, as far as halts are about it.

use ruint::aliases::U256;

use super::{Halt, On, Winding};
use crate::id::{CallerId, ClientId, KeyId, WalletId};

/// What it is done with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Touches {
    /// Which key signs for it.
    pub key: Option<KeyId>,
    /// With which wallet.
    pub wallet: Option<WalletId>,
    /// With which client.
    pub client: Option<ClientId>,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearing {
    /// Somebody sees something.
    Looks,
    /// Something is set up or moved.
    Administers,
    /// Something is signed or handed out.
    Signs,
    /// The service itself winds something down.
    Winds(Winding),
    /// A key is tried at a counterparty; nobody gets anything.
    Probes,
}

/// What somebody is about to do.
#[derive(Clone, Copy, Debug)]
pub struct Hit<'a> {
    /// Who.
    pub caller: CallerId,
    /// With what.
    pub touches: Touches,
    /// The token ids of orders in it.
    pub markets: &'a [U256],
    /// What comes of it.
    pub bearing: Bearing,
}

impl Halt {
    /// Whether it is on this.
    pub(super) fn is_on(&self, hit: &Hit<'_>) -> bool {
        let Touches {
            key,
            wallet,
            client,
        } = hit.touches;
        let is = |id| self.order.id.is_some() && self.order.id == id;
        match self.order.on {
            On::Everything => true,
            On::Key => is(key.map(KeyId::uuid)),
            On::Wallet => is(wallet.map(WalletId::uuid)),
            On::Client => is(client.map(ClientId::uuid)),
            On::Caller => is(Some(hit.caller.uuid())),
            On::Market => hit.markets.iter().any(|it| self.tokens.contains(it)),
        }
    }

    /// Whether it stops what it is on.
    pub(super) fn stops(&self, bearing: Bearing) -> bool {
        let on = self.order.on;
        match bearing {
            Bearing::Looks => false,
            Bearing::Administers => on == On::Caller,
            Bearing::Signs => true,
            // Whoever is halted winds nothing down either.
            Bearing::Winds(what) => on == On::Caller || !self.order.allow.contains(&what),
            Bearing::Probes => matches!(on, On::Everything | On::Caller),
        }
    }
}
