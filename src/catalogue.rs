//! Lists of what can be wrong: each entry has a stable code and says what to do.

/// Makes an enum of such a list. (A code is taken as a token, as in `words!`, so that the document has it.)
/// Nothing outside it can be answered, and tests go through all of it.
macro_rules! catalogue {
    ($(#[$about:meta])* pub enum $list:ident {
        $($(#[$doc:meta])* $name:ident $code:tt $action:literal;)*
    }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, utoipa::ToSchema)]
        $(#[$about])* // after the derive, whose attributes may be among them
        pub enum $list {
            $($(#[$doc])* #[serde(rename = $code)] $name,)*
        }

        impl $list {
            /// The whole list.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// What to do about it.
            pub fn action(self) -> &'static str {
                match self { $(Self::$name => $action,)* }
            }
        }
    };
}

pub(crate) use catalogue;
