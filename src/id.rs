//! Identifiers: UUIDs of version 7, a type for each thing that has one, so that a wallet's id never
//! passes for a key's.

/// Makes a newtype over a UUID of version 7 with text, JSON and Postgres forms.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize,
            serde::Deserialize, sqlx::Type,
        )]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(uuid::Uuid);

        impl $name {
            /// Mints a new one; it sorts after those minted earlier.
            #[expect(clippy::new_without_default, reason = "a default would look like a constant")]
            pub fn new() -> Self {
                Self(uuid::Uuid::now_v7())
            }

            /// The id as a UUID.
            pub fn uuid(self) -> uuid::Uuid {
                self.0
            }
        }

        impl From<uuid::Uuid> for $name {
            fn from(id: uuid::Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for uuid::Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// A key in some device.
    KeyId
);
id!(
    /// A wallet profile: key, chain, signature type, funder.
    WalletId
);
id!(
    /// An OAuth client of one environment of the Exchange API.
    ClientId
);
id!(
    /// Somebody who may call the service.
    CallerId
);
id!(
    /// A person: whoever approves, and to whom callers belong.
    PersonId
);
id!(
    /// A key that a person approves with.
    ApproverKeyId
);
id!(
    /// Something that loosens, and waits until others have approved it.
    ProposalId
);
id!(
    /// One thing to be signed, from the moment it is on record. Callers see it as the signature's id.
    IntentId
);
id!(
    /// A halt.
    HaltId
);
id!(
    /// Something that somebody is told.
    NoticeId
);
id!(
    /// One run of the service.
    BootId
);
id!(
    /// A rotation of a key.
    RotationId
);
id!(
    /// A look whether the counterparty takes a key.
    ProbeId
);
id!(
    /// A look at a key in its device.
    AttestationId
);

impl CallerId {
    /// The service itself, in the audit log: what it does by itself, nobody asked for.
    pub const SERVICE: Self = Self(uuid::Uuid::nil());
}
