//! Caps on the number of streams, and on the filters that every change must be judged by.

use std::collections::BTreeSet;
use std::sync::Arc;

use access::Scope;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use tokio::sync::Notify;

use super::filtered::unindexed;
use crate::dialect::Cap;
use crate::settings::Settings;
use crate::subscription::Selection;

/// Why there is no place for one more stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The process has as many as it may.
    #[error("this gateway has no room for more streams")]
    Full,
    /// The tenant has as many as it may.
    #[error("the tenant has as many streams as it may have on one gateway")]
    TenantFull,
    /// The tenant has as many of this dialect as it may, which is this many.
    #[error("the tenant has {0} streams of this kind, as many as it may have")]
    Capped(usize),
    /// The process is about to stop.
    #[error("this gateway is about to stop")]
    Draining,
    /// The tenant has as many filters as it may that no index narrows.
    #[error(
        "the tenant's streams have as many filters as they may on one gateway that every change must be judged by; \
         name devices, or have the filter demand a text, such as site_id = \"north\""
    )]
    FiltersFull,
}

/// The seats of a process.
#[derive(Clone)]
pub(crate) struct Seats {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    taken: Mutex<Taken>,
    vacated: Notify,
}

#[derive(Default)]
struct Taken {
    draining: bool,
    all: usize,
    by_tenant: FxHashMap<Box<str>, OfTenant>,
}

#[derive(Default)]
struct OfTenant {
    streams: usize,
    /// Filters that no index narrows, and how many streams have each: all of them share its evaluation.
    filters: FxHashMap<Box<str>, usize>,
}

/// A place under the caps; dropping it gives it back.
pub struct Seat {
    shared: Arc<Shared>,
    /// Under which names it is counted: first the tenant's.
    names: SmallVec<[Box<str>; 1]>,
    /// Filters that are counted for this stream.
    filters: BTreeSet<Box<str>>,
}

impl Seats {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            shared: Arc::new(Shared {
                settings,
                taken: Mutex::default(),
                vacated: Notify::new(),
            }),
        }
    }

    pub(crate) fn reserve(&self, tenant: Option<&str>) -> Result<Seat, Refused> {
        self.reserve_under(tenant, None)
    }

    /// The same under a cap of a dialect's own.
    pub(crate) fn reserve_under(&self, tenant: Option<&str>, cap: Option<&Cap>) -> Result<Seat, Refused> {
        let tenant = tenant.unwrap_or_default();
        // No tenant has a slash in its name.
        let capped = cap.map(|cap| format!("{tenant}/{}", cap.name));
        let mut taken = self.shared.taken.lock();
        if taken.draining {
            return Err(Refused::Draining);
        }
        if taken.all >= self.shared.settings.streams_max {
            return Err(Refused::Full);
        }
        let streams = taken
            .by_tenant
            .get(tenant)
            .map_or(0, |of_tenant| of_tenant.streams);
        if streams >= self.shared.settings.streams_per_tenant_max {
            return Err(Refused::TenantFull);
        }
        let mut names: SmallVec<[Box<str>; 1]> = SmallVec::new();
        names.push(tenant.into());
        if let (Some(cap), Some(capped)) = (cap, capped) {
            let of_cap = taken.by_tenant.get(&*capped).map_or(0, |of_cap| of_cap.streams);
            if of_cap >= cap.streams_max {
                return Err(Refused::Capped(cap.streams_max));
            }
            names.push(capped.into());
            names.push(total_of(cap.name));
        }
        taken.all += 1;
        for name in &names {
            taken.by_tenant.entry(name.clone()).or_default().streams += 1;
        }
        drop(taken);
        Ok(Seat {
            shared: Arc::clone(&self.shared),
            names,
            filters: BTreeSet::new(),
        })
    }

    /// Streams of all tenants under the cap of that name.
    pub(crate) fn taken_under(&self, cap: &str) -> usize {
        let taken = self.shared.taken.lock();
        let total = taken.by_tenant.get(&total_of(cap));
        total.map_or(0, |total| total.streams)
    }

    /// No more seats from now on.
    pub(crate) fn close(&self) {
        self.shared.taken.lock().draining = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.shared.taken.lock().draining
    }

    /// Resolves when no seat is taken.
    pub(crate) async fn vacated(&self) {
        loop {
            let vacated = self.shared.vacated.notified();
            if self.taken() == 0 {
                return;
            }
            vacated.await;
        }
    }

    pub(crate) fn taken(&self) -> usize {
        self.shared.taken.lock().all
    }
}

impl Seat {
    /// Counts the filters of `selection`, as `scope` leaves it, in the place of those that were counted for
    /// this stream before.
    ///
    /// # Errors
    /// When the tenant would have too many that no index narrows; nothing has changed then.
    pub fn admit(&mut self, selection: &Selection, scope: &Scope) -> Result<(), Refused> {
        let Some(filters) = &selection.filters else {
            self.count(BTreeSet::new(), usize::MAX);
            return Ok(());
        };
        let devices = selection.devices.within(scope);
        let texts = unindexed(filters, &selection.tenant, &devices);
        let max = self.shared.settings.filters_per_tenant_max;
        if self.count(texts.map(Box::from).collect(), max) {
            Ok(())
        } else {
            Err(Refused::FiltersFull)
        }
    }

    /// False, and nothing counted, if the tenant's filters would become more, and more than `max`.
    fn count(&mut self, texts: BTreeSet<Box<str>>, max: usize) -> bool {
        if texts == self.filters {
            return true;
        }
        let mut taken = self.shared.taken.lock();
        let tenant = self.names.first().cloned().unwrap_or_default();
        let counted = &mut taken.by_tenant.entry(tenant).or_default().filters;
        let added = texts
            .difference(&self.filters)
            .filter(|text| !counted.contains_key(*text));
        let removed = self
            .filters
            .difference(&texts)
            .filter(|text| counted.get(*text) == Some(&1));
        let (added, removed) = (added.count(), removed.count());
        if added > removed && counted.len() + added - removed > max {
            return false;
        }
        for text in self.filters.difference(&texts) {
            release(counted, text);
        }
        for text in texts.difference(&self.filters) {
            *counted.entry(text.clone()).or_default() += 1;
        }
        drop(taken);
        self.filters = texts;
        true
    }
}

fn release(counted: &mut FxHashMap<Box<str>, usize>, text: &str) {
    if let Some(streams) = counted.get_mut(text) {
        *streams -= 1;
        if *streams == 0 {
            counted.remove(text);
        }
    }
}

fn total_of(cap: &str) -> Box<str> {
    format!("/{cap}").into()
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.shared.taken.lock();
        taken.all = taken.all.saturating_sub(1);
        for (number, name) in self.names.iter().enumerate() {
            let Some(of_name) = taken.by_tenant.get_mut(name) else {
                continue;
            };
            of_name.streams = of_name.streams.saturating_sub(1);
            for text in self.filters.iter().filter(|_| number == 0) {
                release(&mut of_name.filters, text);
            }
            if of_name.streams == 0 {
                taken.by_tenant.remove(name);
            }
        }
        if taken.all == 0 {
            self.shared.vacated.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::Filters;
    use crate::subscription::{DeviceSet, KindSet, TenantScope, Told};

    fn seats(filters_per_tenant_max: usize) -> Seats {
        Seats::new(Settings {
            filters_per_tenant_max,
            ..Settings::default()
        })
    }

    fn admit(seat: &mut Seat, texts: &[&str]) -> Result<(), Refused> {
        let parsed = texts.iter().map(|text| text.parse().unwrap());
        let selection = Selection {
            tenant: TenantScope::One("acme".into()),
            devices: DeviceSet::All,
            kinds: KindSet::ALL,
            metrics: None,
            filters: Some(parsed.fold(Filters::silent(), |filters, filter| filters.with(filter))),
            told: Told::default(),
        };
        seat.admit(&selection, &Scope::All)
    }

    #[test]
    fn filters_that_no_index_narrows_are_capped_by_tenant() {
        let seats = seats(2);
        let mut first = seats.reserve(Some("acme")).unwrap();
        assert_eq!(admit(&mut first, &["a > 1", "b > 1"]), Ok(()));
        let mut second = seats.reserve(Some("acme")).unwrap();
        assert_eq!(admit(&mut second, &["c > 1"]), Err(Refused::FiltersFull));
        assert_eq!(
            admit(&mut second, &["site_id = \"n\" and c > 1", "id = \"x\""]),
            Ok(())
        );
        let mut other = seats.reserve(Some("other")).unwrap();
        assert_eq!(admit(&mut other, &["c > 1"]), Ok(()));
    }

    #[test]
    fn a_filter_that_several_streams_have_counts_once() {
        let seats = seats(1);
        let mut streams: Vec<Seat> = (0..3).map(|_| seats.reserve(Some("acme")).unwrap()).collect();
        for stream in &mut streams {
            assert_eq!(admit(stream, &["a > 1"]), Ok(()));
        }
        streams.truncate(1);
        let mut other = seats.reserve(Some("acme")).unwrap();
        assert_eq!(admit(&mut other, &["b > 1"]), Err(Refused::FiltersFull));
        streams.clear();
        assert_eq!(admit(&mut other, &["b > 1"]), Ok(()));
    }

    #[test]
    fn filters_are_exchanged_at_the_cap_and_a_refusal_changes_nothing() {
        let seats = seats(1);
        let mut stream = seats.reserve(Some("acme")).unwrap();
        assert_eq!(admit(&mut stream, &["a > 1"]), Ok(()));
        assert_eq!(admit(&mut stream, &["b > 1"]), Ok(()));
        assert_eq!(admit(&mut stream, &["a > 1", "b > 1"]), Err(Refused::FiltersFull));
        let mut other = seats.reserve(Some("acme")).unwrap();
        assert_eq!(admit(&mut other, &["a > 1"]), Err(Refused::FiltersFull));
        assert_eq!(admit(&mut other, &["b > 1"]), Ok(()));
    }
}
