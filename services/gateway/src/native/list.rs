//! `GET /v1/devices`: the documents of a tenant, page by page.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use access::Scope;
use access::http::{Problem, json};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use query::{Filter, Memo};
use schemas::Document;
use schemas::json::write_document;
use state::{DeviceKey, Filterable, Stored};

use super::answer::{page_text, store_problem};
use super::{Answer, Caller, Native};
use crate::desk::room::{Held, Sender};
use crate::filters::Filters;
use crate::subscription::DeviceSet;

/// Charged for a list beside what it says: the documents that are read together.
const DOCUMENTS_BYTES: usize = 1 << 20;

impl Native {
    pub(super) async fn list(&self, caller: &Caller) -> Answer {
        caller.knows(&["id", "q", "limit", "page"])?;
        caller.may_read()?;
        let listing = Listing {
            filter: self.filter(caller)?,
            limit: caller.limit(&self.settings)?,
            looks_max: self.settings.list_documents_max,
            bytes_max: self.settings.list_bytes_max,
        };
        let after = caller.page()?;
        let devices = match &caller.principal.devices {
            Scope::All => DeviceSet::All,
            Scope::Devices(devices) => DeviceSet::Set(Arc::clone(devices)),
        };
        let devices = match &listing.filter {
            Some(filters) => filters.narrow(&devices),
            None => devices,
        };
        let mut found = Shown::new(self.room.held(Sender::known(&caller.principal)))?;
        match &devices {
            DeviceSet::All => self.page_of_tenant(caller, &listing, after, &mut found).await?,
            DeviceSet::Set(devices) => {
                self.page_of(caller, &listing, devices, after, &mut found).await?;
            }
        }
        let text = page_text("devices", &found.texts, found.next.as_deref(), |text, out| {
            out.extend_from_slice(text);
        });
        Ok(json(StatusCode::OK, found.held.answer(text)))
    }

    /// `q=`; devices as they are have no before.
    fn filter(&self, caller: &Caller) -> Result<Option<Filters>, Problem> {
        let Some(text) = caller.query.get("q")? else {
            return Ok(None);
        };
        let limits = self.settings.filters.clone().without_previous();
        let filters = Filters::parse(text, &limits).map_err(|error| {
            Problem::bad_request(format!("q: {error}"))
                .with("parameter", "q")
                .with("column", error.column)
        })?;
        Ok(Some(filters))
    }

    /// A page of a tenant. The store's page keys stand behind the last document of what it gives: where a
    /// page of it has more matches than are wanted, it is read again up to the last that is.
    async fn page_of_tenant(
        &self,
        caller: &Caller,
        listing: &Listing,
        after: Option<&str>,
        found: &mut Shown,
    ) -> Result<(), Problem> {
        let placement = self.placement(&caller.tenant);
        let whole = listing.looks_at_once(self.settings.page_items);
        let (mut looks, mut count) = (0, whole);
        found.next = after.map(Into::into);
        loop {
            let documents = &self.store.documents;
            let page = documents
                .page(
                    &caller.tenant,
                    placement.partitions(),
                    found.next.as_deref(),
                    count,
                )
                .await
                .map_err(|error| store_problem(&error))?;
            looks += page.documents.len();
            let wanted = listing.limit - found.texts.len();
            let matches = |stored: &Stored| listing.matches(&stored.document);
            let mut beyond = (1..)
                .zip(&page.documents)
                .filter(|(_, stored)| matches(stored))
                .map(|(number, _)| number)
                .skip(wanted.saturating_sub(1));
            if let (Some(last), Some(_)) = (beyond.next(), beyond.next()) {
                count = last;
                continue;
            }
            for stored in page.documents.iter().filter(|stored| matches(stored)) {
                found.show(&stored.document)?;
            }
            found.next = page.next;
            let left = listing.limit.saturating_sub(found.texts.len());
            // Without a filter all of them match.
            count = if listing.filter.is_some() {
                whole
            } else {
                whole.min(left).max(1)
            };
            if found.next.is_none() || found.is_full(listing) || looks >= listing.looks_max {
                return Ok(());
            }
        }
    }

    /// A page of a set of devices, by id; the page key is the last id looked at.
    async fn page_of(
        &self,
        caller: &Caller,
        listing: &Listing,
        devices: &BTreeSet<Box<str>>,
        after: Option<&str>,
        found: &mut Shown,
    ) -> Result<(), Problem> {
        let mut last = after.map(decode).transpose()?;
        let placement = self.placement(&caller.tenant);
        let mut looks = 0;
        loop {
            let from = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let ids: Vec<&Box<str>> = devices
                .range::<str, _>((from, Bound::Unbounded))
                .take(listing.looks_at_once(self.settings.page_items))
                .collect();
            if ids.is_empty() {
                return Ok(());
            }
            let keys: Vec<_> = ids
                .iter()
                .map(|id| {
                    let (tenant, device) = (caller.tenant.clone(), (**id).clone());
                    (placement.of(id), DeviceKey { tenant, device })
                })
                .collect();
            let stored = self
                .store
                .documents
                .get(&keys)
                .await
                .map_err(|error| store_problem(&error))?;
            for (id, stored) in ids.into_iter().zip(stored) {
                looks += 1;
                last = Some(id.clone());
                if let Some(stored) = stored.filter(|stored| listing.matches(&stored.document)) {
                    found.show(&stored.document)?;
                }
                if found.is_full(listing) || looks >= listing.looks_max {
                    let behind = (Bound::Excluded(&**id), Bound::Unbounded);
                    let has_more = devices.range::<str, _>(behind).next().is_some();
                    found.next = has_more.then(|| URL_SAFE_NO_PAD.encode(id.as_bytes()).into());
                    return Ok(());
                }
            }
        }
    }
}

/// What a list shows.
struct Listing {
    filter: Option<Filters>,
    /// Documents that it shows at most.
    limit: usize,
    /// Documents that it looks at at most: what lies behind comes with the next page.
    looks_max: usize,
    /// Bytes of documents from which on it ends.
    bytes_max: usize,
}

/// A page of a list, as far as it was found.
struct Shown {
    /// Documents as JSON.
    texts: Vec<Vec<u8>>,
    bytes: usize,
    next: Option<Box<str>>,
    /// The room that it has.
    held: Held,
}

impl Shown {
    fn new(held: Held) -> Result<Self, Problem> {
        let mut shown = Self {
            texts: Vec::new(),
            bytes: 0,
            next: None,
            held,
        };
        shown.take_room(DOCUMENTS_BYTES)?;
        Ok(shown)
    }

    fn show(&mut self, document: &Document) -> Result<(), Problem> {
        let mut text = Vec::new();
        write_document(document, &mut text);
        // Once by itself, and once in the answer.
        self.take_room(2 * text.len())?;
        self.bytes += text.len();
        self.texts.push(text);
        Ok(())
    }

    fn take_room(&mut self, bytes: usize) -> Result<(), Problem> {
        if self.held.take(bytes) {
            return Ok(());
        }
        Err(Problem::unavailable("too many lists are under way", 1))
    }

    fn is_full(&self, listing: &Listing) -> bool {
        self.texts.len() >= listing.limit || self.bytes >= listing.bytes_max
    }
}

impl Listing {
    fn matches(&self, document: &Document) -> bool {
        let Some(filters) = &self.filter else {
            return true;
        };
        let document = Filterable::new(document);
        let document = Memo::new(&document);
        let holds = |filter: &Arc<Filter>| filter.matches(&document, &document);
        filters.iter().any(holds)
    }

    /// Documents that are read together, which are held together: with a filter few may match.
    fn looks_at_once(&self, usual: usize) -> usize {
        match &self.filter {
            Some(_) => usual.min(self.looks_max).max(1),
            None => self.limit.min(usual).max(1),
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
