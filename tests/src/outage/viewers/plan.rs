//! What a client asks for.

use std::collections::BTreeSet;

use rand::RngExt as _;
use rand::rngs::SmallRng;
use rand::seq::IteratorRandom as _;

use super::documents::{Map, Shown};
use super::{Canary, Seen};
use crate::outage::load::{TENANTS, devices, is_mortal};

/// What a client asks for.
pub(super) struct Plan {
    pub(super) tenant: &'static str,
    /// Which of the tenants that is.
    pub(super) which: usize,
    pub(super) devices: Option<BTreeSet<String>>,
    pub(super) kinds: Option<BTreeSet<&'static str>>,
    pub(super) seen: Seen,
    pub(super) query: String,
}

impl Plan {
    /// Draws one for the client `number`.
    pub(super) fn draw(number: usize, random: &mut SmallRng) -> Self {
        let which = number / 4 % TENANTS.len();
        let tenant = TENANTS[which];
        let of_events = number % 4 < 2;
        let devices = random.random_bool(0.75).then(|| {
            let count = random.random_range(1..6);
            let sampled = devices(tenant).sample(random, count);
            sampled.into_iter().collect::<BTreeSet<_>>()
        });
        let kinds = (of_events && random.random_bool(0.3))
            .then(|| BTreeSet::from(["presence", ["telemetry", "log", "deleted"][number % 3]]));
        let (seen, view) = if of_events {
            (Seen::events(), "view=events&since=earliest")
        } else {
            let (snapshot, latest) = (random.random_bool(0.5), random.random_bool(0.4));
            let (shown, view) = match (snapshot, latest) {
                (true, true) => (Shown::Newest, "view=devices&snapshot=true&deliver=latest"),
                (true, false) => (Shown::SinceSnapshot, "view=devices&snapshot=true"),
                (false, true) => (Shown::Newest, "view=devices&since=earliest&deliver=latest"),
                (false, false) => (Shown::Every, "view=devices&since=earliest"),
            };
            (Seen::Devices(Map::new(shown)), view)
        };
        let mut query = view.to_owned();
        if let Some(devices) = &devices {
            let names: Vec<String> = devices.iter().map(|name| name.replace('/', "%2F")).collect();
            query.push_str(&format!("&device={}", names.join(",")));
        }
        if let Some(kinds) = &kinds {
            let names: Vec<&str> = kinds.iter().copied().collect();
            query.push_str(&format!("&kind={}", names.join(",")));
        }
        Self {
            tenant,
            which,
            devices,
            kinds,
            seen,
            query,
        }
    }

    /// Snapshots of all devices of a tenant, of several pages.
    pub(super) fn of_snapshots(number: usize) -> Self {
        let which = number / 2 % TENANTS.len();
        Self {
            tenant: TENANTS[which],
            which,
            devices: None,
            kinds: None,
            seen: Seen::Devices(Map::new(Shown::SinceSnapshot)),
            query: "view=devices&snapshot=true".to_owned(),
        }
    }

    /// The devices of which it may be told.
    pub(super) fn wanted(&self) -> BTreeSet<String> {
        let all = || devices(self.tenant).collect();
        self.devices.clone().unwrap_or_else(all)
    }

    /// The last events that it must see: of each kind on view `events`; on view `devices`, what the last
    /// telemetry leaves behind, and that a silent device is OFFLINE.
    pub(super) fn canaries(&self) -> BTreeSet<Canary> {
        let of_kinds = |kind: &&str| self.kinds.as_ref().is_none_or(|kinds| kinds.contains(kind));
        let kinds: &[&str] = match self.seen {
            Seen::Events(_) => &["telemetry", "log", "deleted", "presence"],
            Seen::Devices(_) => &["telemetry", "presence"],
        };
        let mut canaries = BTreeSet::new();
        for device in self.wanted() {
            for kind in kinds.iter().copied().filter(of_kinds) {
                if kind != "deleted" || is_mortal(&device) {
                    canaries.insert((device.clone(), kind));
                }
            }
        }
        canaries
    }
}
