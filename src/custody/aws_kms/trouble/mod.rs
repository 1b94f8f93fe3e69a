//! What KMS's errors mean, one by one.

use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};

use crate::counterparty::quoted;
use crate::custody::CustodyError;
use crate::id::KeyId;

/// An error, by what helps against it.
#[derive(Debug)]
pub(super) enum Trouble {
    /// No repetition helps.
    Final(CustodyError),
    /// The quota is used up. Nothing was done.
    Throttled,
    /// This key cannot be used now. Others may.
    KeyAway(CustodyError),
    /// KMS cannot be used now. Whether it did something is unknown.
    Away(CustodyError),
}

/// Reads the error of a call about this key.
pub(super) fn read<E: ProvideErrorMetadata, R>(id: KeyId, error: &SdkError<E, R>) -> Trouble {
    let service = match error {
        SdkError::ServiceError(service) => service.err(),
        SdkError::TimeoutError(_) => return Trouble::Away(CustodyError::TimedOut),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            return Trouble::Away(CustodyError::TimedOut);
        }
        SdkError::DispatchFailure(failure) => {
            let why = failure
                .as_connector_error()
                .map_or_else(|| "no connection".to_owned(), |error| causes(error));
            return Trouble::Away(CustodyError::Unavailable(why));
        }
        SdkError::ResponseError(_) => {
            return Trouble::Away(CustodyError::Unavailable(
                "its answer is none of KMS's".into(),
            ));
        }
        error => {
            return Trouble::Final(CustodyError::Refused(format!("the request: {error}")));
        }
    };
    meant(
        id,
        service.code().unwrap_or("an error without a name"),
        service.message().unwrap_or_default(),
    )
}

/// What a code of KMS's means.
fn meant(id: KeyId, code: &str, message: &str) -> Trouble {
    let words = || format!("{}: {}", quoted(code), quoted(message));
    match code {
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" => Trouble::Throttled,
        "KeyUnavailableException" => Trouble::KeyAway(CustodyError::Unavailable(words())),
        "DisabledException" => Trouble::Final(CustodyError::Disabled(id)),
        // Scheduled for deletion, waiting for key material, or its store is away.
        "KMSInvalidStateException" => Trouble::Final(CustodyError::PendingDeletion(id)),
        "NotFoundException" => Trouble::Final(CustodyError::NotFound { id, found: 0 }),
        "InvalidKeyUsageException" | "UnsupportedOperationException" => {
            Trouble::Final(CustodyError::WrongUsage(id))
        }
        "InvalidCiphertextException"
        | "IncorrectKeyException"
        | "IncorrectKeyMaterialException"
        | "InvalidImportTokenException"
        | "ExpiredImportTokenException" => Trouble::Final(CustodyError::DoesNotOpen),
        // Who we are, and what we may do. A wrong clock is among these: the request's signature has a time.
        "AccessDeniedException"
        | "AccessDenied"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "NotAuthorized"
        | "OptInRequired" => Trouble::Final(CustodyError::AccessDenied(words())),
        "KMSInternalException"
        | "DependencyTimeoutException"
        | "InternalFailure"
        | "InternalError"
        | "InternalServerError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "RequestTimeout"
        | "an error without a name" => Trouble::Away(CustodyError::Unavailable(words())),
        _ => Trouble::Final(CustodyError::Refused(words())),
    }
}

/// An error and its causes: the outermost alone says little.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    quoted(&text)
}

#[cfg(test)]
mod tests;
