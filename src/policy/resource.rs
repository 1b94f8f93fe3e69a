//! On what something is asked for.

use super::Stake;
use crate::authority::Statement;
use crate::halts::Touches;

/// On what, with the attributes that policies look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) attributes: Vec<(&'static str, String)>,
    pub(super) circumstance: Circumstance,
    /// What a halt can be on.
    pub(super) touches: Touches,
    /// By which versions its rows say so.
    pub(super) stated: [Option<Statement>; 2],
    /// By which version somebody stands to whom something is paid.
    pub(super) pays: Option<Statement>,
}

/// What is known of the request itself, which policies see as `context`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Circumstance {
    /// Nothing, and there is nothing to know.
    Nothing,
    /// It is not made yet: the question is whether any could be permitted.
    Open,
    /// This is at stake.
    At(Stake),
}

impl Resource {
    /// The service itself.
    pub fn service() -> Self {
        Self {
            kind: "Service",
            name: "chancery".into(),
            attributes: Vec::new(),
            circumstance: Circumstance::Nothing,
            touches: Touches::default(),
            stated: [None; 2],
            pays: None,
        }
    }

    /// The service, which is to let somebody in: this caller, of this desk, with these roles.
    pub fn of_caller<T: ToString, R: ToString>(
        caller: &impl ToString,
        owner: &T,
        roles: &[R],
    ) -> Self {
        let stake = Stake::new()
            .text("caller", caller.to_string())
            .text("owner", owner.to_string())
            .texts("roles", roles.iter().map(ToString::to_string).collect());
        Self::service().at(stake)
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
            touches: Touches::default(),
            stated: [None; 2],
            pays: None,
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

    /// With what is at stake in this request.
    #[must_use]
    pub fn at(mut self, stake: Stake) -> Self {
        self.circumstance = Circumstance::At(stake);
        self
    }

    /// With what is at stake in the same request for another.
    #[must_use]
    pub fn with_stake_of(self, other: &Self) -> Self {
        Self {
            circumstance: other.circumstance.clone(),
            ..self
        }
    }

    /// The same before it is known what is at stake: whether a request could be permitted.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.circumstance = Circumstance::Open;
        self
    }

    /// With the scopes that an access token is to have: `context.scopes`.
    #[must_use]
    pub fn with_scopes(self, scopes: Vec<String>) -> Self {
        self.at(Stake::new().texts("scopes", scopes))
    }

    /// With the step that a key is to take: `context.from` and `context.to`, states by their names.
    #[must_use]
    pub fn with_step(self, from: &'static str, to: &'static str) -> Self {
        self.at(Stake::new().word("from", from).word("to", to))
    }

    /// Whether nothing is known of the request.
    pub(super) fn is_bare(&self) -> bool {
        self.circumstance == Circumstance::Nothing
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

    /// What it is, whatever the request.
    pub(super) fn thing(&self) -> (&str, &str, &[(&'static str, String)]) {
        (self.kind, &self.name, &self.attributes)
    }

    /// The same, without anything of the request.
    pub(super) fn bare(&self) -> Self {
        Self {
            kind: self.kind,
            name: self.name.clone(),
            attributes: self.attributes.clone(),
            circumstance: Circumstance::Nothing,
            touches: self.touches,
            stated: self.stated,
            pays: self.pays,
        }
    }

    /// With what a halt can be on.
    #[must_use]
    pub fn touching(self, touches: Touches) -> Self {
        Self { touches, ..self }
    }

    /// As its rows were compared with what is stated.
    #[must_use]
    pub fn stated(self, stated: [Option<Statement>; 2]) -> Self {
        Self { stated, ..self }
    }

    /// With somebody to whom it pays something.
    #[must_use]
    pub fn paying(self, pays: Option<Statement>) -> Self {
        Self { pays, ..self }
    }

    /// By which versions all that it stands on says so.
    pub(super) fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.stated.iter().chain([&self.pays]).flatten()
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
