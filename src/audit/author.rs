//! Who answers for a change, and on whose agreement.

use uuid::Uuid;

use crate::approvals::check::Claim;
use crate::approvals::{Approval, ApprovalNeeded};
use crate::authority::Version;
use crate::id::CallerId;

/// Whoever makes a change: a caller by their right, or the service by itself.
#[derive(Clone, Debug)]
pub struct Author {
    id: CallerId,
    /// What they came with. Every change of theirs looks whether it is still good.
    credential: Option<Uuid>,
    /// By which version of what decides they may. Every change of theirs looks whether that still holds.
    decided: Option<Version>,
    /// On what they do what loosens nothing.
    ground: Approval,
    /// Who has agreed to what loosens, if anybody has.
    agreed: Option<Approval>,
    /// Under which proposal, where it is one that others have approved.
    claim: Option<Claim>,
    /// Whether it puts on record what is done already.
    afterwards: bool,
}

impl Author {
    /// A caller, for whom the policy has decided, and who agreed to what they ask for. Called only by
    /// `policy`, for a permit.
    pub(crate) fn caller(
        id: CallerId,
        credential: Uuid,
        decided: Version,
        agreed: Option<Approval>,
    ) -> Self {
        Self {
            id,
            credential: Some(credential),
            decided: Some(decided),
            ground: Approval::by_right(),
            agreed,
            claim: None,
            afterwards: false,
        }
    }

    /// A caller under a proposal. Whether that holds is looked at behind the gate of each change.
    pub(crate) fn under(id: CallerId, credential: Uuid, decided: Version, claim: Claim) -> Self {
        let agreed = Some(Approval::by_proposal(claim.proposal));
        Self {
            claim: Some(claim),
            ..Self::caller(id, credential, decided, agreed)
        }
    }

    /// The service, which does something by itself.
    pub fn service() -> Self {
        Self {
            id: CallerId::SERVICE,
            credential: None,
            decided: None,
            ground: Approval::automatic(),
            agreed: None,
            claim: None,
            afterwards: false,
        }
    }

    /// The first operator, whom nobody could approve.
    pub fn bootstrap(id: CallerId) -> Self {
        Self {
            id,
            credential: None,
            decided: None,
            ground: Approval::bootstrap(),
            agreed: Some(Approval::bootstrap()),
            claim: None,
            afterwards: false,
        }
    }

    /// Whoever breaks the glass, with the database's owner and a device in place of an approval.
    pub fn break_glass(id: CallerId) -> Self {
        Self {
            id,
            credential: None,
            decided: None,
            ground: Approval::break_glass(),
            agreed: Some(Approval::break_glass()),
            claim: None,
            afterwards: false,
        }
    }

    /// The same, for what they have already brought about elsewhere: that is put on record although
    /// they may have lost their right since.
    #[must_use]
    pub fn afterwards(&self) -> Self {
        Self {
            credential: None,
            decided: None,
            afterwards: true,
            ..self.clone()
        }
    }

    /// The same, by a later version of what decides.
    #[must_use]
    pub(crate) fn decided_again(&self, decided: Version) -> Self {
        Self {
            decided: Some(decided),
            ..self.clone()
        }
    }

    /// What they came with.
    pub fn credential(&self) -> Option<Uuid> {
        self.credential
    }

    /// By which version of what decides they may; the service by none.
    pub fn decided(&self) -> Option<Version> {
        self.decided
    }

    /// Who it is.
    pub fn id(&self) -> CallerId {
        self.id
    }

    /// On what they do what loosens nothing.
    pub fn ground(&self) -> Approval {
        self.ground
    }

    /// Under which proposal they do it, and whether it is done already.
    pub(crate) fn claim(&self) -> Option<(&Claim, bool)> {
        self.claim.as_ref().map(|claim| (claim, self.afterwards))
    }

    /// Who has agreed to something that loosens (P6).
    pub fn loosen(&self) -> Result<Approval, ApprovalNeeded> {
        self.agreed.ok_or(ApprovalNeeded)
    }
}
