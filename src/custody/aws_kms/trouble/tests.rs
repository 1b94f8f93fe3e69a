use super::*;

#[test]
fn each_error_has_its_meaning() {
    let id = KeyId::new();
    let meant = |code| meant(id, code, "words");
    for code in ["KMSInternalException", "DependencyTimeoutException"] {
        assert!(
            matches!(meant(code), Trouble::Away(CustodyError::Unavailable(_))),
            "{code}"
        );
    }
    assert!(matches!(meant("ThrottlingException"), Trouble::Throttled));
    assert!(matches!(
        meant("KeyUnavailableException"),
        Trouble::KeyAway(_)
    ));
    let is = |code, wanted: fn(&CustodyError) -> bool| {
        let trouble = meant(code);
        assert!(
            matches!(&trouble, Trouble::Final(error) if wanted(error)),
            "{trouble:?}"
        );
    };
    is("DisabledException", |e| {
        matches!(e, CustodyError::Disabled(_))
    });
    is("KMSInvalidStateException", |e| {
        matches!(e, CustodyError::PendingDeletion(_))
    });
    is("NotFoundException", |e| {
        matches!(e, CustodyError::NotFound { found: 0, .. })
    });
    is("InvalidKeyUsageException", |e| {
        matches!(e, CustodyError::WrongUsage(_))
    });
    is("AccessDeniedException", |e| {
        matches!(e, CustodyError::AccessDenied(_))
    });
    is("ExpiredTokenException", |e| {
        matches!(e, CustodyError::AccessDenied(_))
    });
    is("InvalidSignatureException", |e| {
        matches!(e, CustodyError::AccessDenied(_))
    });
    is("LimitExceededException", |e| {
        matches!(e, CustodyError::Refused(_))
    });
    is("InvalidCiphertextException", |e| {
        matches!(e, CustodyError::DoesNotOpen)
    });
    is("ValidationException", |e| {
        matches!(e, CustodyError::Refused(_))
    });
}
