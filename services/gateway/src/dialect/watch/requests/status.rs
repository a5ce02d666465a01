//! `GET …/status`.

use std::sync::Arc;

use access::Principal;
use access::http::Query;

use super::{find, success};
use crate::dialect::Refusal;
use crate::dialect::requests::Step;
use crate::dialect::watch::frames::since;
use crate::dialect::watch::link::Link;
use crate::dialect::watch::path::Path;

pub(super) fn begin(principal: Arc<Principal>, path: &Path, query: &Query) -> Result<Step, Refusal> {
    find(principal, path, query, |found| {
        let document = found.stored.document;
        let connected = Link::of(&document).connected();
        let last = connected.since.or(document.fold.last_connected_at);
        success(&format!(
            "{{\"connected\":{},\"connected_since\":{},\"last_connected_at\":{}}}",
            connected.is_connected,
            since(connected.since),
            since(last),
        ))
    })
}
