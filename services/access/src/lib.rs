//! Who may do what: principals with grants, the credentials that prove them, and the fold of
//! `wakeline.control` from which every node answers without a lookup.
//!
//! Pure but for appending control records and following the topic; never reads a clock.

pub mod administration;
pub mod directory;
pub mod http;
pub mod principal;

pub use administration::Administration;
pub use directory::{Denied, Directory};
pub use principal::{Principal, Scope};
pub use schemas::control::Role;
