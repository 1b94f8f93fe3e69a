//! What KMS calls a key: its ARN.

use crate::custody::{CustodyError, DeviceRef, Place};

/// Takes a key's ARN of this region, and neither an alias, which can be moved, nor a bare id.
pub(super) fn check_arn(device_ref: &DeviceRef, region: &str) -> Result<(), CustodyError> {
    let parts: Vec<&str> = device_ref.as_str().splitn(6, ':').collect();
    let wrong = match parts.as_slice() {
        ["arn", partition, "kms", theirs, account, key]
            if partition.starts_with("aws")
                && !account.is_empty()
                && key.strip_prefix("key/").is_some_and(|id| !id.is_empty()) =>
        {
            (*theirs != region).then(|| format!("it is of {theirs}, and this device is {region}"))
        }
        _ => Some("wanted is arn:aws:kms:REGION:ACCOUNT:key/ID; an alias can be moved".into()),
    };
    wrong.map_or(Ok(()), |why| {
        Err(CustodyError::NotAdoptable(format!("{device_ref}: {why}")))
    })
}

/// The ARN of a key on record. A key without one was never finished.
pub(super) fn arn(key: &Place) -> Result<&DeviceRef, CustodyError> {
    let id = key.id;
    let found = 0;
    key.device_ref
        .as_ref()
        .ok_or(CustodyError::NotFound { id, found })
}

/// The ARN that an answer of KMS tells.
pub(super) fn device_ref(arn: Option<&str>) -> Result<DeviceRef, CustodyError> {
    let text = arn.unwrap_or_default().to_owned();
    DeviceRef::try_from(text).map_err(|_| CustodyError::Nonsense("a key without an ARN".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_the_arn_of_a_key_in_the_region() {
        let check = |text: &str| {
            let arn = DeviceRef::try_from(text.to_owned()).unwrap();
            check_arn(&arn, "eu-west-1")
        };
        let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
        check(&format!("arn:aws:kms:eu-west-1:111122223333:key/{id}")).unwrap();
        check(&format!(
            "arn:aws-us-gov:kms:eu-west-1:111122223333:key/{id}"
        ))
        .unwrap();
        for wrong in [
            id.to_owned(),
            "alias/wallet".to_owned(),
            "arn:aws:kms:eu-west-1:111122223333:alias/wallet".to_owned(),
            "arn:aws:kms:eu-west-1:111122223333:key/".to_owned(),
            format!("arn:aws:kms:us-east-1:111122223333:key/{id}"),
            format!("arn:aws:s3:eu-west-1:111122223333:key/{id}"),
            format!("arn:aws:kms:eu-west-1::key/{id}"),
        ] {
            let refused = check(&wrong);
            assert!(
                matches!(refused, Err(CustodyError::NotAdoptable(_))),
                "{wrong}"
            );
        }
    }
}
