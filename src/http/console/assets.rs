//! What is shipped beside pages: a style sheet and small scripts, each under a name that changes with what is in it.

use std::sync::LazyLock;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use sha2::{Digest as _, Sha256};

use super::guarded::guarded;
use crate::app::App;

/// The page that verifies proofs without a network. What verifies there, verifies here.
const VERIFIER: &str = include_str!("../../../deploy/verify-proof.html");

/// Where the part of it begins and ends that the console's script begins with.
const VERIFIES: (&str, &str) = (
    "// What verifies a proof, on this page and on the console's.",
    "// What shows it here.",
);

/// All that there is.
pub(super) static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: Asset::new("css", include_str!("console.css")),
    script: Asset::new("js", include_str!("console.js")),
    passkeys: Asset::new("js", include_str!("passkeys.js")),
    proof: Asset::new("js", &format!("{}{}", verifier(), include_str!("proof.js"))),
});

/// What pages refer to.
pub(super) struct Assets {
    pub(super) style: Asset,
    /// What every page has.
    pub(super) script: Asset,
    /// What asks for a passkey.
    pub(super) passkeys: Asset,
    /// What verifies a proof.
    pub(super) proof: Asset,
}

/// A file.
pub(super) struct Asset {
    /// Where it is.
    pub(super) path: String,
    kind: &'static str,
    text: String,
}

impl Asset {
    fn new(ending: &str, text: &str) -> Self {
        let hash = Sha256::digest(text);
        let kind = if ending == "css" {
            "text/css; charset=utf-8"
        } else {
            "text/javascript; charset=utf-8"
        };
        Self {
            path: format!("/console/{}.{ending}", hex::encode(&hash[..8])),
            kind,
            text: text.to_owned(),
        }
    }

    fn response(&'static self) -> Response {
        const FOR_EVER: &str = "public, max-age=31536000, immutable";
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(self.kind)),
            (header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER)),
        ];
        guarded((headers, self.text.as_str()).into_response())
    }
}

/// What verifies proofs.
fn verifier() -> &'static str {
    let (begin, end) = VERIFIES;
    let from = VERIFIER.find(begin).unwrap_or(VERIFIER.len());
    let rest = &VERIFIER[from..];
    rest.split(end).next().unwrap_or_default()
}

/// All of it, for all pages that there are.
pub(in crate::http) fn assets() -> Router<App> {
    let assets: &'static Assets = &ASSETS;
    let Assets {
        style,
        script,
        passkeys,
        proof,
    } = assets;
    let mut router = Router::new();
    for asset in [style, script, passkeys, proof] {
        router = router.route(&asset.path, get(async move || asset.response()));
    }
    router
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_verifies_is_the_part_of_the_page_that_works_without_a_network() {
        let verifier = verifier();
        for part in ["async function look(", "function readProof(", "KINDS"] {
            assert!(verifier.contains(part), "{part}");
        }
        for part in ["document.", "<script", "</"] {
            assert!(!verifier.contains(part), "{part}");
        }
    }

    #[test]
    fn all_that_is_shipped_is_small() {
        let assets = &*ASSETS;
        let all = [
            &assets.style,
            &assets.script,
            &assets.passkeys,
            &assets.proof,
        ];
        let size: usize = all.iter().map(|it| it.text.len()).sum();
        assert!(size < 150 * 1024, "{size} bytes");
    }
}
