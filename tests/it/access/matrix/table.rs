//! The table: every way in. A test holds it against what the node answers.

mod controller;
mod filter;
mod native;
mod native_requests;
mod realtime;
mod telemetry;
mod watch;

use super::row::Row;

/// Every row.
pub(in crate::access) fn rows() -> Vec<Row> {
    [
        native::ROWS,
        native_requests::ROWS,
        realtime::ROWS,
        controller::ROWS,
        watch::ROWS,
        filter::ROWS,
        telemetry::ROWS,
    ]
    .concat()
}
