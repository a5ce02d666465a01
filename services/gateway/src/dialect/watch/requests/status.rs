//! `GET …/status`.

use std::sync::Arc;

use access::Principal;
use access::http::Query;

use super::{Found, find, refuse, success, unavailable};
use crate::dialect::requests::{Do, Step};
use crate::dialect::watch::frames::since;
use crate::dialect::watch::link::{Link, last_connected_at};
use crate::dialect::watch::logs::ask_presence;
use crate::dialect::watch::path::Path;
use crate::dialect::{Answer, Refusal};

pub(super) fn begin(principal: Arc<Principal>, path: &Path, query: &Query) -> Result<Step, Refusal> {
    find(principal, path, query, |found| {
        let Found {
            principal,
            tenant,
            stored,
        } = found;
        let document = stored.document;
        let ask = ask_presence(&document.id);
        Step::then(Do::ask(&tenant, &principal, ask), move |done| {
            let Answer::History(page) = done.answer() else {
                return Step::Answer(refuse(&unavailable()));
            };
            let mut link = Link::of(&document);
            link.look_back(&page.rows);
            let connected = link.connected();
            let last = connected
                .since
                .or_else(|| last_connected_at(&document, &page.rows));
            success(&format!(
                "{{\"connected\":{},\"connected_since\":{},\"last_connected_at\":{}}}",
                connected.is_connected,
                since(connected.since),
                since(last),
            ))
        })
    })
}
