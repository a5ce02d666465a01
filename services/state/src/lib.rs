//! The current state of devices: the fold of events (their one meaning) and the ports through which
//! the rest of the product keeps and reads documents, progress and history.
//!
//! Two engines stand behind the ports: CQL (`scylla/`, the only place that names the driver) and the
//! embedded engine (a crate of its own). The fold does no I/O and reads no clock.

pub mod before;
#[cfg(feature = "contract")]
pub mod contract;
pub mod counts;
pub mod filterable;
pub mod fold;
pub mod ports;
pub mod scylla;

pub use before::Before;
pub use filterable::Filterable;
pub use fold::{Limits, Outcome, fold};
pub use ports::{
    Applied, Counts, DeviceKey, Documents, History, HistoryPage, HistoryQuery, HistoryRow, Page, PageKey,
    Progress, Store, StoreError, Stored, Write,
};
