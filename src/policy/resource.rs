//! On what something is asked for.

/// On what, with the attributes that policies look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) attributes: Vec<(&'static str, String)>,
    pub(super) circumstance: Circumstance,
}

/// What of the request itself policies look at: `context`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Circumstance {
    Nothing,
    Scopes(Vec<String>),
    Step {
        from: &'static str,
        to: &'static str,
    },
}

impl Resource {
    /// The service itself.
    pub fn service() -> Self {
        Self {
            kind: "Service",
            name: "chancery".into(),
            attributes: Vec::new(),
            circumstance: Circumstance::Nothing,
        }
    }

    /// A wallet, client or key (`kind` as the schema has it) with its owner and environment.
    pub fn owned(
        kind: &'static str,
        name: &(impl ToString + ?Sized),
        owner: &(impl ToString + ?Sized),
        environment: &(impl ToString + ?Sized),
    ) -> Self {
        let name = name.to_string();
        let attributes = vec![
            ("name", name.clone()),
            ("owner", owner.to_string()),
            ("environment", environment.to_string()),
        ];
        Self {
            kind,
            name,
            attributes,
            circumstance: Circumstance::Nothing,
        }
    }

    /// A stand-in for a wallet, client or key (`kind` as the schema has it) that is not there: nobody's, with
    /// as many attributes as the real ones have.
    pub fn nothing(kind: &'static str, name: &(impl ToString + ?Sized)) -> Self {
        let nothing = Self::owned(kind, name, "", "");
        match kind {
            "Key" => nothing.with("purpose", ""),
            _ => nothing,
        }
    }

    /// With the scopes that an access token is to have: `context.scopes`.
    #[must_use]
    pub fn with_scopes(mut self, scopes: Vec<String>) -> Self {
        self.circumstance = Circumstance::Scopes(scopes);
        self
    }

    /// With the step that a key is to take: `context.from` and `context.to`, states by their names.
    #[must_use]
    pub fn with_step(mut self, from: &'static str, to: &'static str) -> Self {
        self.circumstance = Circumstance::Step { from, to };
        self
    }

    /// What people call such a thing, where who may see it is a question.
    pub(super) fn noun(&self) -> Option<&'static str> {
        match self.kind {
            "Wallet" => Some("wallet"),
            "Client" => Some("client"),
            "Key" => Some("key"),
            _ => None,
        }
    }

    /// The same, without anything of the request.
    pub(super) fn bare(&self) -> Self {
        Self {
            circumstance: Circumstance::Nothing,
            ..self.clone()
        }
    }

    /// With one attribute more.
    #[must_use]
    pub fn with(mut self, attribute: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        self.attributes.push((attribute, value.to_string()));
        self
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}::{}", self.kind, self.name)
    }
}
