//! The scenarios. Each is a file: it runs product and limit in turn and says what came of it.

mod delivery;
mod fanout;
mod filter;
mod idle;
mod ingest;
mod keyed;
mod replay;

use crate::error::Error;
use crate::figures::Row;
use crate::rig::Rig;

/// Every scenario, in the order of a whole run.
pub(crate) const ALL: &[&str] = &["fanout", "keyed", "idle", "ingest", "replay", "filter"];

/// Runs the scenario called `name`.
pub(crate) fn run(name: &str, rig: &Rig) -> Result<Vec<Row>, Error> {
    match name {
        "fanout" => fanout::run(rig),
        "keyed" => keyed::run(rig),
        "idle" => idle::run(rig),
        "ingest" => ingest::run(rig),
        "replay" => replay::run(rig),
        "filter" => filter::run(rig),
        other => Err(Error::Unreadable {
            what: "a scenario's name".to_owned(),
            text: other.to_owned(),
        }),
    }
}
