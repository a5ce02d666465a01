//! `GET /v1/devices`: the documents of a tenant, page by page.

use std::collections::BTreeSet;
use std::ops::Bound;

use access::Scope;
use access::http::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::json::write_document;
use state::{DeviceKey, Page};

use super::answer::{page, store_problem};
use super::{Answer, Caller, Native};

impl Native {
    pub(super) async fn list(&self, caller: &Caller) -> Answer {
        caller.knows(&["id", "limit", "page"])?;
        caller.may_read()?;
        let limit = caller.limit(&self.settings)?;
        let after = caller.page()?;
        let found = match &caller.principal.devices {
            Scope::All => {
                let placement = self.placement(&caller.tenant);
                let documents = &self.store.documents;
                let found = documents
                    .page(&caller.tenant, placement.partitions(), after, limit)
                    .await;
                found.map_err(|error| store_problem(&error))?
            }
            Scope::Devices(devices) => self.page_of(caller, devices, after, limit).await?,
        };
        Ok(page(
            "devices",
            &found.documents,
            found.next.as_deref(),
            |stored, out| {
                write_document(&stored.document, out);
            },
        ))
    }

    /// A page of a scope: its devices by id; the page key is the last id looked at.
    async fn page_of(
        &self,
        caller: &Caller,
        devices: &BTreeSet<Box<str>>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, Problem> {
        let mut last = after.map(decode).transpose()?;
        let placement = self.placement(&caller.tenant);
        let mut found = Page::default();
        loop {
            let from = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let wanted = limit - found.documents.len();
            let ids: Vec<&Box<str>> = devices
                .range::<str, _>((from, Bound::Unbounded))
                .take(wanted)
                .collect();
            let Some(last_id) = ids.last() else {
                return Ok(found);
            };
            last = Some((**last_id).clone());
            let keys: Vec<_> = ids
                .into_iter()
                .map(|id| {
                    let (tenant, device) = (caller.tenant.clone(), id.clone());
                    (placement.of(id), DeviceKey { tenant, device })
                })
                .collect();
            let stored = self
                .store
                .documents
                .get(&keys)
                .await
                .map_err(|error| store_problem(&error))?;
            found.documents.extend(stored.into_iter().flatten());
            if found.documents.len() >= limit {
                found.next = last.map(|id| URL_SAFE_NO_PAD.encode(id.as_bytes()).into());
                return Ok(found);
            }
        }
    }
}

fn decode(page: &str) -> Result<Box<str>, Problem> {
    let id = URL_SAFE_NO_PAD
        .decode(page)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    id.map(Into::into)
        .ok_or_else(|| store_problem(&state::StoreError::BadPage))
}
