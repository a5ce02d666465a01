//! Places for connections: so many in all, and so many of one address, so that no single one can take
//! them all.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use parking_lot::Mutex;
use prometheus::IntGauge;
use rustc_hash::FxHashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::settings::FrontDoorSettings;

/// Places held, by address.
type ByAddress = Mutex<FxHashMap<IpAddr, usize>>;

/// The places of a front door.
pub(super) struct Places {
    all: Arc<Semaphore>,
    by_address: Arc<ByAddress>,
    per_address_max: usize,
    proxies: Vec<IpNet>,
    connections: IntGauge,
}

/// A place under the caps, counted while it is held.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    connections: IntGauge,
    address: Option<(IpAddr, Arc<ByAddress>)>,
}

impl Places {
    pub(super) fn new(settings: &FrontDoorSettings, connections: IntGauge) -> Self {
        Self {
            all: Arc::new(Semaphore::new(settings.connections_max)),
            by_address: Arc::default(),
            per_address_max: settings.connections_per_address_max,
            proxies: settings.trusted_proxies.clone(),
            connections,
        }
    }

    /// A place for a connection from `peer`; `None` where it would pass a cap.
    pub(super) fn take(&self, peer: SocketAddr) -> Option<Place> {
        let permit = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let address = self.counted(peer.ip());
        if let Some(address) = address {
            let mut by_address = self.by_address.lock();
            if by_address.get(&address).copied().unwrap_or_default() >= self.per_address_max {
                return None;
            }
            *by_address.entry(address).or_default() += 1;
        }
        self.connections.inc();
        Some(Place {
            _permit: permit,
            connections: self.connections.clone(),
            address: address.map(|address| (address, Arc::clone(&self.by_address))),
        })
    }

    /// What counts as one address: of IPv6 the /64 that one customer has; `None`: a proxy, which speaks
    /// for many.
    fn counted(&self, address: IpAddr) -> Option<IpAddr> {
        let address = address.to_canonical();
        if self.proxies.iter().any(|proxy| proxy.contains(&address)) {
            return None;
        }
        Some(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.dec();
        if let Some((address, by_address)) = &self.address {
            let mut by_address = by_address.lock();
            if let Some(held) = by_address.get_mut(address) {
                *held -= 1;
                if *held == 0 {
                    by_address.remove(address);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(all: usize, per_address: usize, proxy: &str) -> Places {
        let settings = FrontDoorSettings {
            connections_max: all,
            connections_per_address_max: per_address,
            trusted_proxies: vec![proxy.parse().unwrap()],
            ..FrontDoorSettings::default()
        };
        Places::new(&settings, IntGauge::new("connections", "held").unwrap())
    }

    fn at(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 1)
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let places = places(5, 2, "10.0.0.0/8");
        let held: Vec<_> = (0..2).map(|_| places.take(at("192.0.2.1")).unwrap()).collect();
        assert!(places.take(at("192.0.2.1")).is_none());
        assert!(places.take(at("::ffff:192.0.2.1")).is_none());
        assert!(places.take(at("192.0.2.2")).is_some());
        drop(held);
        assert!(places.take(at("192.0.2.1")).is_some());
        assert_eq!((places.connections.get(), places.by_address.lock().len()), (0, 0));
    }

    #[test]
    fn a_customer_of_ipv6_is_one_address_and_a_proxy_is_none() {
        let places = places(9, 1, "10.0.0.0/8");
        let held = places.take(at("2001:db8::1")).unwrap();
        assert!(places.take(at("2001:db8::ffff")).is_none());
        assert!(places.take(at("2001:db8:0:1::1")).is_some());
        drop(held);
        let proxied: Vec<_> = (0..9).map(|_| places.take(at("10.1.2.3")).unwrap()).collect();
        assert!(places.take(at("192.0.2.1")).is_none(), "all places are held");
        drop(proxied);
    }
}
