//! A transparency log's mathematics and texts: the Merkle tree of RFC 6962, and the signed notes,
//! checkpoints, proofs and trust policies of C2SP.
//!
//! It computes and parses, and neither asks nor stores anything. What is verified here needs a public key
//! and no trust in whoever brought it.

pub mod checkpoint;
pub mod note;
pub mod policy;
pub mod proof;
pub mod tree;

pub use checkpoint::Checkpoint;
pub use note::{BadNote, Note, NoteKey, NoteSigner, Verifier};
pub use policy::Policy;
pub use proof::Proof;
pub use tree::{Frontier, Hash, Node, node_hash};
