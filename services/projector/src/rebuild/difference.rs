//! How two documents differ.

use schemas::{Document, json};
use serde_json::Value;
use state::DeviceKey;

/// A device that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The device.
    pub key: DeviceKey,
    /// In what way.
    pub kind: Kind,
}

/// In what way a device is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// It has no row, and should have one.
    Missing,
    /// It has a row, and should have none.
    Extra,
    /// Its row says something else.
    Differs {
        /// Dotted paths from the document's root; `fold` stands for what only the fold reads.
        paths: Vec<String>,
    },
}

/// The paths at which two documents differ, sorted; none for equal ones.
pub(super) fn paths(expected: &Document, found: &Document) -> Vec<String> {
    let mut paths = Vec::new();
    if expected == found {
        return paths;
    }
    walk("", &public(expected), &public(found), &mut paths);
    if expected.fold != found.fold {
        paths.push("fold".to_owned());
    }
    if paths.is_empty() {
        // Equal as JSON, and not as values: something that the API does not show.
        paths.push(String::new());
    }
    paths.sort();
    paths
}

fn public(document: &Document) -> Value {
    let mut text = Vec::new();
    json::write_document(document, &mut text);
    serde_json::from_slice(&text).unwrap_or_default()
}

fn walk(path: &str, expected: &Value, found: &Value, paths: &mut Vec<String>) {
    let (Value::Object(expected_members), Value::Object(found_members)) = (expected, found) else {
        if expected != found {
            paths.push(path.to_owned());
        }
        return;
    };
    let only_found = found_members
        .keys()
        .filter(|name| !expected_members.contains_key(*name));
    for name in expected_members.keys().chain(only_found) {
        let below = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        match (expected_members.get(name), found_members.get(name)) {
            (Some(expected), Some(found)) => walk(&below, expected, found, paths),
            (Some(_), None) | (None, Some(_)) => paths.push(below),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::event::Status;

    use super::*;

    #[test]
    fn differences_are_named_by_path() {
        let expected = Document {
            tenant: "acme".into(),
            id: "bus".into(),
            version: 1,
            ..Document::default()
        };
        let mut found = expected.clone();
        assert!(paths(&expected, &found).is_empty());
        found.status = Some(Status::Online);
        found.fold.recent.push(1);
        found
            .fields
            .0
            .insert("engine.speed".into(), schemas::Scalar::Integer(3));
        found.version = 2;
        assert_eq!(
            paths(&expected, &found),
            ["fields.engine", "fold", "status", "version"]
        );
    }
}
