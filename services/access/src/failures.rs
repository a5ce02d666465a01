//! What somebody does often in a minute: a bucket each, in bounded memory. Failed authentications are
//! counted by address.

use std::hash::Hash;
use std::net::IpAddr;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use schemas::Micros;

const MINUTE: Micros = 60_000_000;

/// Counts failures by address, an IPv6 address by its /64.
pub(crate) struct Failures(Windows<IpAddr>);

/// Counts by key.
pub(crate) struct Windows<K> {
    per_minute: u32,
    keys_max: usize,
    windows: Mutex<FxHashMap<K, Window>>,
}

/// What was counted of one key since a time, for at most a minute.
struct Window {
    since: Micros,
    count: u32,
}

impl Failures {
    pub(crate) fn new(per_minute: u32, addresses_max: usize) -> Self {
        Self(Windows::new(per_minute, addresses_max))
    }

    /// Counts one failure of `peer`. When the address has had too many, answers in how many seconds
    /// it may fail again.
    pub(crate) fn count(&self, peer: IpAddr, now: Micros) -> Option<u64> {
        self.0.count(network(peer), now)
    }
}

impl<K: Eq + Hash> Windows<K> {
    /// Each key may be counted so often in a minute.
    pub(crate) fn new(per_minute: u32, keys_max: usize) -> Self {
        Self {
            per_minute,
            keys_max: keys_max.max(1),
            windows: Mutex::new(FxHashMap::default()),
        }
    }

    /// Counts `key` once more. When that was too often, answers in how many seconds it may be again.
    pub(crate) fn count(&self, key: K, now: Micros) -> Option<u64> {
        let mut windows = self.windows.lock();
        if windows.len() >= self.keys_max && !windows.contains_key(&key) {
            forget(&mut windows, now);
        }
        let window = windows.entry(key).or_insert(Window { since: now, count: 0 });
        if now.saturating_sub(window.since) >= MINUTE {
            *window = Window { since: now, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        if window.count <= self.per_minute {
            return None;
        }
        let left = (window.since + MINUTE).saturating_sub(now).max(1);
        Some(left.unsigned_abs().div_ceil(1_000_000))
    }
}

/// Makes room: what is over goes; where all are recent, the older half goes, so that the cost of a
/// flood of keys stays small for each.
fn forget<K: Eq + Hash>(windows: &mut FxHashMap<K, Window>, now: Micros) {
    let before = windows.len();
    windows.retain(|_, window| now.saturating_sub(window.since) < MINUTE);
    if windows.len() < before {
        return;
    }
    let mut times: Vec<Micros> = windows.values().map(|window| window.since).collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let median = *median;
    windows.retain(|_, window| window.since > median);
}

/// What counts as one address: of IPv6 the /64 that one customer has.
#[must_use]
pub fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_told_after_its_allowance_and_forgiven_after_a_minute() {
        let failures = Failures::new(3, 10);
        let peer = address("192.0.2.1");
        for _ in 0..3 {
            assert_eq!(failures.count(peer, 0), None);
        }
        assert_eq!(failures.count(peer, 20_000_000), Some(40));
        assert_eq!(failures.count(peer, MINUTE), None);
    }

    #[test]
    fn the_addresses_of_one_64_share_an_allowance() {
        let failures = Failures::new(1, 10);
        assert_eq!(failures.count(address("2001:db8:0:1::1"), 0), None);
        assert!(failures.count(address("2001:db8:0:1:ffff::2"), 0).is_some());
        assert_eq!(failures.count(address("2001:db8:0:2::1"), 0), None);
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_that_address() {
        let failures = Failures::new(1, 10);
        assert_eq!(failures.count(address("::ffff:192.0.2.1"), 0), None);
        assert_eq!(failures.count(address("::ffff:192.0.2.2"), 0), None);
        assert!(failures.count(address("192.0.2.1"), 0).is_some());
    }

    #[test]
    fn a_flood_of_addresses_is_held_in_bounded_memory() {
        let failures = Failures::new(1, 100);
        for number in 0..10_000_u32 {
            failures.count(IpAddr::V4(number.into()), Micros::from(number));
        }
        assert!(failures.0.windows.lock().len() <= 100);
    }
}
