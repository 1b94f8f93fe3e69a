//! `traceparent`, as W3C Trace Context has it.

use std::fmt;

/// Where a span stands: its trace, itself, and whether they are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: [u8; 16],
    /// The span.
    pub span: [u8; 8],
    /// Whether whoever began it records it.
    pub is_sampled: bool,
}

/// `00-` trace `-` span `-` flags.
const LENGTH: usize = 55;

impl Context {
    /// Reads a header. What is not well-formed is no trace, as the standard says.
    pub fn parse(header: &str) -> Option<Self> {
        let known = header.get(..LENGTH)?;
        let mut parts = known.split('-');
        let version = number::<1>(parts.next()?)?;
        let trace = number(parts.next()?)?;
        let span = number(parts.next()?)?;
        let [flags] = number(parts.next()?)?;
        let more = &header[LENGTH..];
        let fits = match version {
            [0xff] => false,
            [0] => more.is_empty(),
            _ => more.is_empty() || more.starts_with('-'), // of a version to come, the same is read
        };
        let is_one = fits && parts.next().is_none() && trace != [0; 16] && span != [0; 8];
        is_one.then_some(Self {
            trace,
            span,
            is_sampled: flags & 1 == 1,
        })
    }
}

/// So many bytes in lower case, which is the only one there is.
fn number<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_lower = text.bytes().all(|it| !it.is_ascii_uppercase());
    let mut bytes = [0; N];
    (is_lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (hex::encode(self.trace), hex::encode(self.span));
        write!(f, "00-{trace}-{span}-{:02x}", u8::from(self.is_sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_well_formed_or_none() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = Context::parse(good).unwrap();
        assert!(context.is_sampled);
        assert_eq!(context.to_string(), good);
        let unsampled = Context::parse(&good.replace("-01", "-02")).unwrap();
        assert!(!unsampled.is_sampled);
        let later = format!("cc{}-what-comes", &good[2..]);
        assert_eq!(Context::parse(&later), Some(context));
        for wrong in [
            "",
            &good[..54],
            &format!("{good}-"),
            &format!("{good} "),
            &format!("ff{}", &good[2..]),
            &format!("cc{}x", &good[2..]),
            &good.to_uppercase(),
            &good.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &good.replace("b7ad6b7169203331", &"0".repeat(16)),
            &good.replace("-b7ad", "--7ad"),
            &good.replace('a', "é"),
            &good.replace("af", "ag"),
        ] {
            assert_eq!(Context::parse(wrong), None, "{wrong}");
        }
    }
}
