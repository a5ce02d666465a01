//! What a client of view `devices` keeps: a map of devices, as a product's screen does.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::outage::load::is_mortal;
use crate::stream::Frame;

/// Which changes a stream shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All, from the first on: versions have no hole.
    Every,
    /// A snapshot, and all changes that it does not show: versions have no hole after it.
    SinceSnapshot,
    /// The newest.
    Newest,
}

/// Documents by id.
#[derive(Debug)]
pub struct Map {
    /// The documents as last shown, without what moves unsaid.
    pub documents: BTreeMap<String, Value>,
    versions: BTreeMap<String, Version>,
    shown: Shown,
    /// A connection ended since the snapshot began: what its documents showed may be repeated by changes.
    is_resumed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Version {
    number: u64,
    of_snapshot: bool,
}

impl Map {
    /// An empty map.
    #[must_use]
    pub const fn new(shown: Shown) -> Self {
        Self {
            documents: BTreeMap::new(),
            versions: BTreeMap::new(),
            shown,
            is_resumed: false,
        }
    }

    /// What begins anew begins with nothing.
    pub fn forget(&mut self) {
        *self = Self::new(self.shown);
    }

    /// A connection has ended.
    pub const fn resumed(&mut self) {
        self.is_resumed = true;
    }

    /// Takes a frame in.
    ///
    /// # Errors
    /// The hole, or the repetition, that it shows.
    pub fn take(&mut self, frame: &Frame) -> Result<(), String> {
        match frame.kind.as_str() {
            "device" => self.take_device(frame),
            "deleted" => {
                let id = frame.data["deleted"].as_str().unwrap_or_default();
                let known = self.documents.remove(id).is_some();
                self.versions.remove(id);
                // After its pin, a snapshot does not show what is deleted before its page is read.
                if self.shown == Shown::Every && !known {
                    return Err(format!("{id}: deleted, and was not there"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn take_device(&mut self, frame: &Frame) -> Result<(), String> {
        let document = stable(&frame.data["device"]);
        let id = document["id"].as_str().unwrap_or_default().to_owned();
        let version = Version {
            number: document["version"].as_u64().unwrap_or_default(),
            of_snapshot: is_of_snapshot(frame),
        };
        self.documents.insert(id.clone(), document);
        let before = self.versions.insert(id.clone(), version);
        if self.follows(before, version, is_mortal(&id)) {
            Ok(())
        } else {
            Err(format!("{id}: {version:?} after {before:?}, {self}"))
        }
    }

    /// Whether a device may be shown so after it was shown as `before`. One that is deleted and made again
    /// counts anew, at any time since the pin of a snapshot.
    fn follows(&self, before: Option<Version>, version: Version, is_mortal: bool) -> bool {
        let since_snapshot = self.shown == Shown::SinceSnapshot;
        match before {
            _ if self.shown == Shown::Newest => true,
            _ if version.of_snapshot => {
                since_snapshot
                    && before.is_none_or(|before| {
                        // Two gateways may read two builds of the tables; what changed since the pin follows.
                        let may_go_back = is_mortal || self.is_resumed;
                        before.of_snapshot && (may_go_back || before.number <= version.number)
                    })
            }
            None => version.number == 1 || since_snapshot && is_mortal,
            Some(before) if version.number == before.number + 1 => true,
            Some(before) => {
                before.of_snapshot && self.is_resumed && (is_mortal || version.number <= before.number)
            }
        }
    }
}

impl std::fmt::Display for Map {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}, resumed {}", self.shown, self.is_resumed)
    }
}

/// Documents of snapshots say nothing of what changed.
pub(super) fn is_of_snapshot(frame: &Frame) -> bool {
    frame.kind == "device" && frame.data.get("changed").is_none()
}

/// A document without the times of what did not change: that they moved is no reason to tell a stream.
#[must_use]
pub fn stable(document: &Value) -> Value {
    let mut document = document.clone();
    let Some(members) = document.as_object_mut() else {
        return document;
    };
    members.remove("last_seen_at");
    if let Some(Value::Object(lock)) = members.get_mut("lock") {
        lock.remove("at");
    }
    if let Some(Value::Object(entities)) = members.get_mut("entities") {
        let entities = entities.values_mut().filter_map(Value::as_object_mut);
        entities.for_each(|entity| drop(entity.remove("at")));
    }
    document
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn frame(id: &str, version: u64, of_snapshot: bool) -> Frame {
        let mut data = json!({"device": {"id": id, "version": version}});
        if !of_snapshot {
            data["changed"] = json!(["fields.n"]);
        }
        Frame {
            kind: "device".to_owned(),
            cursor: None,
            data,
        }
    }

    fn snapshot(version: u64) -> Map {
        let mut map = Map::new(Shown::SinceSnapshot);
        map.take(&frame("bus-1", version, true)).unwrap();
        map
    }

    #[test]
    fn a_change_after_a_snapshot_is_the_next_one() {
        assert!(snapshot(5).take(&frame("bus-1", 6, false)).is_ok());
        assert!(snapshot(5).take(&frame("bus-1", 7, false)).is_err());
        assert!(snapshot(5).take(&frame("bus-1", 5, false)).is_err());
        assert!(snapshot(5).take(&frame("bus-2", 2, false)).is_err());
    }

    #[test]
    fn a_resumed_snapshot_repeats_and_leaves_nothing_out() {
        let mut map = snapshot(5);
        map.resumed();
        assert!(map.take(&frame("bus-1", 7, false)).is_err());
        let mut map = snapshot(5);
        map.resumed();
        map.take(&frame("bus-1", 4, false)).unwrap();
        map.take(&frame("bus-1", 5, false)).unwrap();
        assert!(map.take(&frame("bus-1", 5, false)).is_err());
    }

    #[test]
    fn a_snapshot_goes_back_only_when_it_is_resumed() {
        assert!(snapshot(5).take(&frame("bus-1", 5, true)).is_ok());
        assert!(snapshot(5).take(&frame("bus-1", 4, true)).is_err());
        let mut map = snapshot(5);
        map.resumed();
        map.take(&frame("bus-1", 3, true)).unwrap();
        assert!(map.take(&frame("bus-1", 5, false)).is_err());
    }

    #[test]
    fn every_change_is_shown_from_the_first_on() {
        let mut map = Map::new(Shown::Every);
        map.take(&frame("bus-1", 1, false)).unwrap();
        map.take(&frame("bus-1", 2, false)).unwrap();
        assert!(map.take(&frame("bus-1", 4, false)).is_err());
    }
}
