//! Percent-encoding (RFC 3986): what is not plain is spelled as bytes.

const HEX: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
];

/// A text, percent-encoded where it has to be.
pub fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    spelled(text.as_bytes(), plain)
}

/// Bytes, percent-encoded but for the plain ones.
pub fn spelled(bytes: &[u8], plain: impl Fn(u8) -> bool) -> String {
    let mut text = String::new();
    for byte in bytes {
        if plain(*byte) {
            text.push(char::from(*byte));
        } else {
            text.extend([
                '%',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_plain_is_spelled() {
        assert_eq!(encoded("a-Z.0_~"), "a-Z.0_~");
        assert_eq!(encoded("/keys?a b=é"), "%2Fkeys%3Fa%20b%3D%C3%A9");
    }
}
