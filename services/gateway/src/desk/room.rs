//! Room for bodies and answers: so much in all, so much of one tenant, and of what nobody answers for, so much
//! in all and of one address. So neither one tenant nor strangers shut others out.

use std::net::IpAddr;
use std::sync::Arc;

use access::{Principal, network};
use bytes::Bytes;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

/// Bytes that are held at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// In all.
    pub(crate) all: usize,
    /// Of one tenant.
    pub(crate) tenant: usize,
    /// Of what nobody answers for.
    pub(crate) nameless: usize,
    /// Of one address of which nobody answers for.
    pub(crate) address: usize,
}

/// Who sends a body, or is answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Sender {
    /// Somebody of no tenant, who acts for any.
    System,
    /// Somebody of a tenant.
    Tenant(Box<str>),
    /// Nobody is known yet to send it.
    Nameless(IpAddr),
}

impl Sender {
    pub(crate) fn of(principal: Option<&Principal>, peer: IpAddr) -> Self {
        match principal {
            None => Self::Nameless(network(peer)),
            Some(principal) => Self::known(principal),
        }
    }

    pub(crate) fn known(principal: &Principal) -> Self {
        principal.tenant.clone().map_or(Self::System, Self::Tenant)
    }
}

/// The room.
pub(crate) struct Room {
    limits: Limits,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    nameless: usize,
    by: FxHashMap<Sender, usize>,
}

/// What one body has of it, until it is dropped.
pub(crate) struct Held {
    room: Arc<Room>,
    sender: Sender,
    bytes: usize,
}

impl Room {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            taken: Mutex::default(),
        }
    }

    /// No room yet, for a body of `sender`.
    pub(crate) fn held(self: &Arc<Self>, sender: Sender) -> Held {
        Held {
            room: Arc::clone(self),
            sender,
            bytes: 0,
        }
    }
}

impl Held {
    /// Takes room for so many more bytes. Whether there is.
    pub(crate) fn take(&mut self, more: usize) -> bool {
        let room = &*self.room;
        let mut taken = room.taken.lock();
        let own = taken.by.get(&self.sender).copied().unwrap_or_default() + more;
        let is_nameless = matches!(self.sender, Sender::Nameless(_));
        let most = match self.sender {
            Sender::System => room.limits.all,
            Sender::Tenant(_) => room.limits.tenant,
            Sender::Nameless(_) => room.limits.address,
        };
        let is_room = taken.all + more <= room.limits.all
            && own <= most
            && (!is_nameless || taken.nameless + more <= room.limits.nameless);
        if is_room {
            taken.all += more;
            taken.nameless += if is_nameless { more } else { 0 };
            taken.by.insert(self.sender.clone(), own);
            self.bytes += more;
        }
        is_room
    }
}

/// An answer, which has its room until it is sent.
struct Answer {
    text: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

impl Held {
    /// An answer that keeps this room as long as anything of it is there.
    pub(crate) fn answer(self, text: Vec<u8>) -> Bytes {
        Bytes::from_owner(Answer { text, _held: self })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut taken = self.room.taken.lock();
        taken.all -= self.bytes;
        if matches!(self.sender, Sender::Nameless(_)) {
            taken.nameless -= self.bytes;
        }
        let left = taken.by.get(&self.sender).map_or(0, |own| own - self.bytes);
        if left == 0 {
            taken.by.remove(&self.sender);
        } else {
            taken.by.insert(self.sender.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> Arc<Room> {
        Arc::new(Room::new(Limits {
            all: 100,
            tenant: 60,
            nameless: 50,
            address: 30,
        }))
    }

    fn nameless(address: &str) -> Sender {
        Sender::of(None, address.parse().unwrap())
    }

    #[test]
    fn strangers_leave_room_to_those_who_are_known() {
        let room = room();
        let mut held: Vec<Held> = ["192.0.2.1", "192.0.2.2"]
            .into_iter()
            .map(|address| room.held(nameless(address)))
            .collect();
        assert!(held[0].take(30) && !held[0].take(1), "one address has its share");
        assert!(held[1].take(20) && !held[1].take(1), "all addresses have theirs");
        assert!(room.held(Sender::Tenant("acme".into())).take(50));
    }

    #[test]
    fn a_tenant_leaves_room_to_others() {
        let room = room();
        let mut acme = room.held(Sender::Tenant("acme".into()));
        assert!(acme.take(60) && !room.held(Sender::Tenant("acme".into())).take(1));
        let mut other = room.held(Sender::Tenant("other".into()));
        assert!(other.take(40) && !other.take(1), "all of it is held");
        drop(acme);
        assert!(other.take(1));
    }

    #[test]
    fn room_is_given_back() {
        let room = room();
        let mut held = room.held(nameless("2001:db8::1"));
        assert!(held.take(10) && held.take(20));
        assert!(
            !room.held(nameless("2001:db8::ffff")).take(1),
            "a /64 is one address"
        );
        drop(held);
        let taken = room.taken.lock();
        assert_eq!((taken.all, taken.nameless, taken.by.len()), (0, 0, 0));
    }

    #[test]
    fn an_answer_has_its_room_until_the_last_of_it_is_sent() {
        let room = room();
        let mut held = room.held(Sender::System);
        assert!(held.take(100));
        let mut answer = held.answer(b"{}".to_vec());
        let rest = answer.split_off(1);
        drop(answer);
        assert!(!room.held(Sender::System).take(1));
        drop(rest);
        assert!(room.held(Sender::System).take(1));
    }
}
