//! `GET /v1/devices/{id}/events`: what happened to a device of late, newest first.

use access::http::Problem;
use schemas::Kind;
use schemas::json::write_event;
use state::HistoryQuery;

use super::answer::{page, store_problem};
use super::{Answer, Caller, Native, no_device};

impl Native {
    pub(super) async fn history(&self, caller: &Caller, id: &str) -> Answer {
        caller.knows(&["kind", "from", "to", "limit", "page"])?;
        caller.may_read()?;
        let query = HistoryQuery {
            tenant: caller.tenant.clone(),
            device: Some(id.into()),
            kinds: kinds(caller)?,
            from: caller.time("from")?.unwrap_or(0),
            to: caller.time("to")?.unwrap_or(i64::MAX),
            page: caller.page()?.map(Into::into),
            limit: caller.limit(&self.settings)?,
        };
        if query.from >= query.to {
            return Err(Problem::bad_request("from: is not before to"));
        }
        if !caller.principal.may_read(&caller.tenant, id) {
            return Err(no_device());
        }
        let found = self
            .store
            .history
            .read(&query)
            .await
            .map_err(|error| store_problem(&error))?;
        // A device that is gone still has its history; one that never was has none.
        if found.rows.is_empty() && query.page.is_none() && self.stored(caller, id).await?.is_none() {
            return Err(no_device());
        }
        Ok(page("events", &found.rows, found.next.as_deref(), |row, out| {
            write_event(&row.event, out)
        }))
    }
}

fn kinds(caller: &Caller) -> Result<Vec<Kind>, Problem> {
    let mut kinds = Vec::new();
    for name in caller.query.all("kind").flat_map(|names| names.split(',')) {
        let Some(kind) = Kind::from_name(name) else {
            let known: Vec<&str> = Kind::ALL.into_iter().map(Kind::name).collect();
            return Err(Problem::bad_request(format!(
                "kind: {name:?} is none of {}",
                known.join(", ")
            )));
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(if kinds.is_empty() {
        Kind::ALL.to_vec()
    } else {
        kinds
    })
}
