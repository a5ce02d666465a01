//! Free ports for what is stopped and started again at its address.
//!
//! They lie below those that connections get: while a server is away, none of the many connections around it takes its
//! port, as may happen to one that the system chose.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::Mutex;

use rand::RngExt as _;

const PORTS: Range<u16> = 10_000..20_000;

/// A free address on loopback, given out once in this process.
#[must_use]
pub fn free() -> SocketAddr {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, rand::rng().random_range(PORTS)));
        let is_new = GIVEN.lock().expect("nobody panics here").insert(address.port());
        if is_new && TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
