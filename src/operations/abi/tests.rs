use super::*;

const TRANSFER: &str = "safeTransferFrom(address,address,uint256,uint256,bytes)";

#[test]
fn what_was_written_is_read_again_and_nothing_else() {
    let values = [
        Value::Address(Address([1; 20])),
        Value::Address(Address([2; 20])),
        Value::Number(U256::from(7)),
        Value::Number(U256::MAX),
        Value::Bytes(b"abc".to_vec()),
    ];
    let data = call(TRANSFER, &values);
    assert_eq!(hex::encode(selector(TRANSFER)), "f242432a");
    assert_eq!(read(TRANSFER, &data).unwrap(), values);

    let mut longer = data.clone();
    longer.push(0);
    assert_eq!(read(TRANSFER, &longer), None);
    for at in 0..data.len() {
        let mut other = data.clone();
        other[at] ^= 0x40;
        assert_ne!(read(TRANSFER, &other), Some(values.to_vec()), "{at}");
        assert_eq!(read(TRANSFER, &data[..at]), None, "{at}");
    }
}

#[test]
fn a_list_that_claims_to_be_longer_than_its_call_is_none() {
    let function = "f(uint256[])";
    let good = call(function, &[Value::Numbers(vec![U256::from(1)])]);
    assert!(read(function, &good).is_some());
    for many in [2_u64, u64::MAX] {
        let mut bad = good.clone();
        bad[36..68].copy_from_slice(&number(many));
        assert_eq!(read(function, &bad), None);
    }
}
