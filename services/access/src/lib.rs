//! Who may do what: principals with grants, the credentials that prove them, and the fold of
//! `wakeline.control` from which every node answers without a lookup.
//!
//! Pure but for appending control records, following the topic, and reading an issuer's keys through a
//! port; never reads a clock.

pub mod administration;
pub mod credential;
pub mod directory;
pub mod events;
mod failures;
pub mod http;
pub mod jwt;
pub mod principal;

pub use administration::Administration;
pub use credential::{AdminToken, AdminTokenTooShort, NodeKey, Sealer};
pub use directory::{Denied, Directory};
pub use events::{Accepted, EventSink, Outcome, Rejection, Submission};
pub use failures::network;
pub use principal::{Principal, Proof, Scope, TenantError};
pub use schemas::control::Role;
