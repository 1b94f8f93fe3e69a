//! Chancery keeps keys and signs.

pub mod audit;
pub mod cli;
pub mod clob;
pub mod clock;
pub mod custody;
pub mod ethereum;
pub mod id;
pub mod policy;
pub mod sealing;
