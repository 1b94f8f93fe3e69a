//! A key's switch in its device, besides our record of the key. A device that has this switch signs for
//! nobody with a key that is off, not even for others who have rights in the device.
//!
//! Only a key that is out of use here is switched off: a key in use that its device has disabled contradicts
//! the record, and is suspended.

use serde_json::json;

use super::{Key, KeyError, KeyState, Keys, Reason};
use crate::approvals::Approval;
use crate::audit::Change;
use crate::custody::CustodyError;
use crate::ledger::{Gate, Held};
use crate::policy::Permit;

/// What a device is to be told of a key.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceSwitch {
    /// Whether it is to use the key.
    pub enabled: bool,
    /// Why, for the record: 1 to 500 characters.
    #[schema(value_type = String, example = "the account was broken into")]
    pub reason: Reason,
}

/// Proof that the device was told. While it is held, nobody tells the device otherwise.
pub struct Switched(#[expect(dead_code, reason = "it holds by being there")] Held);

impl KeyState {
    /// The step that is like switching a key in such a state in its device: who may take the one may do
    /// the other. `None`: it is not done in this state.
    pub fn switched(self, enabled: bool) -> Option<Self> {
        match (self, enabled) {
            (Self::Suspended | Self::Deactivated | Self::Compromised, false) => {
                Some(Self::Suspended)
            }
            (Self::PreActivation | Self::Active | Self::Retiring | Self::Suspended, true) => {
                Some(Self::Active)
            }
            (
                Self::PreActivation
                | Self::Active
                | Self::Retiring
                | Self::DestroyPending
                | Self::Destroyed,
                false,
            )
            | (
                Self::Deactivated | Self::Compromised | Self::DestroyPending | Self::Destroyed,
                true,
            ) => None,
        }
    }
}

impl Keys {
    /// Tells a device to use a key, which loosens and is on record before, or not to use it. It is
    /// recorded with [`switched`](Self::switched); after a failure the same can be asked again.
    pub async fn switch(
        &self,
        key: &Key,
        switch: &DeviceSwitch,
        permit: &Permit,
    ) -> Result<Switched, KeyError> {
        let (from, enabled) = (key.state, switch.enabled);
        from.switched(enabled)
            .ok_or(KeyError::NotSwitched { from, enabled })?;
        if key.public_key.is_none() {
            return Err(KeyError::NeverMade);
        }
        let device = self.vault.backend(&key.backend)?;
        let device_switch = device.switches().ok_or_else(|| {
            let (id, what) = (key.id, if enabled { "enabling" } else { "disabling" });
            CustodyError::Unsupported(format!(
                "{what} key {id}: this kind of device has no such switch"
            ))
        })?;
        let held = self.held(key.id).await?;
        let now = self.by_id(key.id).await?;
        if now.is_none_or(|now| now.epoch != key.epoch) {
            return Err(KeyError::Changed);
        }
        if enabled {
            let approval = permit.loosen()?;
            let mut change = self.log.begin(Gate::Shared, permit.author()).await?;
            let details = details(key, switch);
            change.note_as(approval, "begin-enable-in-device", key.id, &details);
            change.commit().await?;
        }
        device_switch.enable(&key.place(), enabled).await?;
        Ok(Switched(held))
    }

    /// Records what a device was told.
    pub fn switched(
        &self,
        key: &Key,
        switch: &DeviceSwitch,
        _told: &Switched,
        change: &mut Change,
    ) -> Result<(), KeyError> {
        let (action, approval) = if switch.enabled {
            ("enable-in-device", change.loosen())
        } else {
            ("disable-in-device", Approval::not_needed())
        };
        change.note_as(approval, action, key.id, &details(key, switch));
        Ok(())
    }
}

fn details(key: &Key, switch: &DeviceSwitch) -> serde_json::Value {
    json!({ "name": key.name, "backend": key.backend, "reason": switch.reason })
}

#[cfg(test)]
mod tests;
