//! Caps on the number of streams.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use tokio::sync::Notify;

use crate::dialect::Cap;
use crate::settings::Settings;

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
    by_tenant: FxHashMap<Box<str>, usize>,
}

/// A place under the caps; dropping it gives it back.
pub struct Seat {
    shared: Arc<Shared>,
    /// Under which names it is counted.
    names: SmallVec<[Box<str>; 1]>,
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
        let of_tenant = taken.by_tenant.get(tenant).copied().unwrap_or(0);
        if of_tenant >= self.shared.settings.streams_per_tenant_max {
            return Err(Refused::TenantFull);
        }
        let mut names: SmallVec<[Box<str>; 1]> = SmallVec::new();
        names.push(tenant.into());
        if let (Some(cap), Some(capped)) = (cap, capped) {
            let of_cap = taken.by_tenant.get(&*capped).copied().unwrap_or(0);
            if of_cap >= cap.streams_max {
                return Err(Refused::Capped(cap.streams_max));
            }
            names.push(capped.into());
            names.push(total_of(cap.name));
        }
        taken.all += 1;
        for name in &names {
            *taken.by_tenant.entry(name.clone()).or_default() += 1;
        }
        drop(taken);
        Ok(Seat {
            shared: Arc::clone(&self.shared),
            names,
        })
    }

    /// Streams of all tenants under the cap of that name.
    pub(crate) fn taken_under(&self, cap: &str) -> usize {
        let taken = self.shared.taken.lock();
        taken.by_tenant.get(&total_of(cap)).copied().unwrap_or(0)
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

fn total_of(cap: &str) -> Box<str> {
    format!("/{cap}").into()
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.shared.taken.lock();
        taken.all = taken.all.saturating_sub(1);
        for name in &self.names {
            if let Some(count) = taken.by_tenant.get_mut(name) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    taken.by_tenant.remove(name);
                }
            }
        }
        if taken.all == 0 {
            self.shared.vacated.notify_waiters();
        }
    }
}
