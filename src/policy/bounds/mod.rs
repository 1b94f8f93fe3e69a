//! How much of a policy's text is taken, before anything reads it.
//!
//! # Why
//! Whoever proposes a policy need not be trusted, and a reader of a language is recursive: a text of nothing but
//! brackets, or of ten thousand `&&`, ends the process where the stack ends. What people write is far below.

/// The longest text, in bytes.
pub(super) const LONGEST: usize = 256 * 1024;
/// So deep brackets are nested.
const DEEPEST: usize = 32;
/// So many signs and words that nest are in one policy.
const MOST_SIGNS: usize = 600;
const WORDS: [&str; 5] = ["if", "in", "has", "is", "like"];

/// Why a text is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// It is too long.
    #[error("it is longer than {LONGEST} bytes")]
    Long,
    /// Brackets in brackets.
    #[error("brackets are nested more than {DEEPEST} deep")]
    Deep,
    /// One policy has it all.
    #[error(
        "one policy has more than {MOST_SIGNS} operators: compare with a set by contains, or make several policies of it"
    )]
    Operators,
}

/// Whether a text can be read without fear.
pub(super) fn check(text: &str) -> Result<(), TooMuch> {
    if text.len() > LONGEST {
        return Err(TooMuch::Long);
    }
    let (mut deep, mut signs) = (0_usize, 0_usize);
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let mut taken = next.len_utf8();
        match next {
            '"' => taken = quoted(rest),
            '/' if rest.starts_with("//") => taken = rest.find('\n').unwrap_or(rest.len()),
            '(' | '[' | '{' => deep += 1,
            ')' | ']' | '}' => deep = deep.saturating_sub(1),
            ';' => signs = 0,
            '&' | '|' | '!' | '-' | '+' | '*' | '.' | '<' | '>' | '=' => signs += 1,
            _ if next.is_alphanumeric() || next == '_' => {
                let is_part = |it: char| it.is_alphanumeric() || it == '_';
                taken = rest.find(|it| !is_part(it)).unwrap_or(rest.len());
                signs += usize::from(WORDS.contains(&&rest[..taken]));
            }
            _ => {}
        }
        if deep > DEEPEST {
            return Err(TooMuch::Deep);
        }
        if signs > MOST_SIGNS {
            return Err(TooMuch::Operators);
        }
        rest = &rest[taken..];
    }
    Ok(())
}

/// How long a quoted text is, with its quotes.
fn quoted(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, next) in text.char_indices().skip(1) {
        match next {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests;
