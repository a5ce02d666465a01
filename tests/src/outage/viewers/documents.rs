//! What a client of view `devices` keeps: a map of devices, as a product's screen does.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::stream::Frame;

/// Documents by id.
#[derive(Debug, Default)]
pub struct Map {
    /// The documents as last shown, without what moves unsaid.
    pub documents: BTreeMap<String, Value>,
    versions: BTreeMap<String, u64>,
    /// Every change is shown: versions have no holes.
    strict: bool,
}

impl Map {
    /// An empty map; `strict` when every change is to be shown, from the first on.
    #[must_use]
    pub fn new(strict: bool) -> Self {
        Self {
            strict,
            ..Self::default()
        }
    }

    /// What begins anew begins with nothing.
    pub fn forget(&mut self) {
        self.documents.clear();
        self.versions.clear();
    }

    /// Takes a frame in.
    ///
    /// # Errors
    /// The hole, or the repetition, that it shows.
    pub fn take(&mut self, frame: &Frame) -> Result<(), String> {
        match frame.kind.as_str() {
            "device" => {
                let document = stable(&frame.data["device"]);
                let id = document["id"].as_str().unwrap_or_default().to_owned();
                let version = document["version"].as_u64().unwrap_or_default();
                self.documents.insert(id.clone(), document);
                let before = self.versions.insert(id.clone(), version).unwrap_or_default();
                if self.strict && version != before + 1 {
                    return Err(format!("{id}: version {version} after {before}"));
                }
                Ok(())
            }
            "deleted" => {
                let id = frame.data["deleted"].as_str().unwrap_or_default();
                let known = self.documents.remove(id).is_some();
                self.versions.remove(id);
                if self.strict && !known {
                    return Err(format!("{id}: deleted, and was not there"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
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
