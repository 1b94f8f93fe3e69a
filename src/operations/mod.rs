//! Wallet operations: what a wallet can be made to do besides trading, as a closed catalogue.
//!
//! An operation is named, with fields; [`Step`] is the catalogue, [`Contract`] the table of addresses, and the
//! forms (a transaction, a Safe's, a relayed call, a batch) are what is signed of one or several steps. Nothing
//! here signs; all of it but the records is pure.
//!
//! It promises that what is signed is what was decided on: there is no calldata but what [`Step::call`] writes, and
//! addresses are the table's, a registered recipient's, or the wallet's own. It **trusts** the table, for an
//! approval of an address without code succeeds.

pub mod abi;
mod account;
mod asked;
mod claim;
pub mod contracts;
pub mod deposit;
mod form;
mod plan;
pub mod proxy;
mod reading;
pub(crate) mod records;
mod request;
mod rules;
pub mod safe;
mod step;
pub mod transaction;
mod wish;

pub use account::{Account, AccountKind, Counter, Turn};
pub use asked::{Names, Unnamed};
pub use claim::{Claim, NotClaimed, State};
pub use contracts::{Contract, NotThere, SetUp};
pub use form::{Form, PlanKind};
pub use plan::{Plan, RelayerRequest, Sealed};
pub use reading::NotInCatalogue;
pub use request::{Allowance, Amount, Former, NotAParty, NotAnAmount, Operation};
pub use rules::Refused;
pub use step::{Call, Condition, NotACondition, Party, Place, Step};
pub use wish::{FeesSaid, NoPlan, OperationRequest, Via};
