//! The members of a token request besides the assertion.

use super::{Code, Finding, Question, Report};
use crate::name::Name;
use crate::oauth::assertion::ASSERTION_TYPE;
use crate::oauth::environment::Environment;

/// What stood in the token request, as far as it is told.
#[derive(Clone, Debug, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = SentTokenRequest)]
pub struct Sent {
    /// `client_id`.
    pub client_id: Option<String>,
    /// `audience`.
    pub audience: Option<String>,
    /// `grant_type`.
    pub grant_type: Option<String>,
    /// `client_assertion_type`.
    pub client_assertion_type: Option<String>,
    /// `scope`.
    pub scope: Option<String>,
}

impl Question {
    pub(super) fn judge_request(
        &self,
        sent: &Sent,
        at: Option<(&Name, &Environment)>,
        report: &mut Report,
    ) {
        let subject = self.assertion.as_ref().and_then(|it| it.text("sub"));
        if let (Some(given), Some(subject)) = (&sent.client_id, subject)
            && given != subject
        {
            let finding = Finding::instead(Code::ClientIdDiffers, "client_id", given, subject);
            report.find(finding);
        }
        if let (Some(given), Some((_, environment))) = (&sent.audience, at)
            && *given != environment.token_audience
        {
            let right = &environment.token_audience;
            let finding = Finding::instead(Code::AudienceDiffers, "audience", given, right);
            report.find(finding);
        }
        for (field, given, right) in [
            ("grant_type", &sent.grant_type, "client_credentials"),
            (
                "client_assertion_type",
                &sent.client_assertion_type,
                ASSERTION_TYPE,
            ),
        ] {
            if let Some(given) = given
                && given != right
            {
                report.find(Finding::instead(Code::RequestMember, field, given, right));
            }
        }
    }
}
