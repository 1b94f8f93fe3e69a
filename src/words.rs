//! Closed lists of words: one word for the ledger, the API, the command line and people.

/// The text is none of the words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is none of {known}")]
pub struct NotAWord {
    /// What was said.
    pub text: String,
    /// What can be said.
    pub known: String,
}

/// Makes an enum of words. A new word is a line of it, and nothing else. (A word is taken as a token, for
/// `ToSchema` does not see into a literal that a macro has parsed.)
macro_rules! words {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $($(#[$note:meta])* $variant:ident = $word:tt,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        $vis enum $name {
            $($(#[$note])* #[serde(rename = $word)] $variant,)+
        }

        #[allow(dead_code, reason = "not every list is read back or gone through")]
        impl $name {
            /// All of them, in the order of the list.
            $vis const ALL: [Self; [$($word),+].len()] = [$(Self::$variant),+];

            /// The word for it.
            $vis const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// What this is the word for.
            $vis fn from_name(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|it| it.name() == name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::words::NotAWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::from_name(text).ok_or_else(|| crate::words::NotAWord {
                    text: text.to_owned(),
                    known: [$($word),+].join(", "),
                })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    words! {
        /// An answer.
        enum Answer {
            /// It is so.
            Yes = "yes",
            /// It may be so.
            PerhapsLater = "perhaps-later",
        }
    }

    #[test]
    fn a_word_comes_back_and_another_one_does_not() {
        for answer in Answer::ALL {
            assert_eq!(answer.to_string().parse(), Ok(answer));
            let json = serde_json::to_value(answer).unwrap();
            assert_eq!(json, answer.name());
            assert_eq!(serde_json::from_value::<Answer>(json).unwrap(), answer);
        }
        let error = "no".parse::<Answer>().unwrap_err();
        assert_eq!(error.to_string(), r#""no" is none of yes, perhaps-later"#);
    }
}
