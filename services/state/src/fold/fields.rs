//! Setting, filling and removing paths of the reported fields.

use std::ops::Bound;

use schemas::fields::{ancestors, is_descendant};
use schemas::{Fields, Scalar};

/// Sets `path`, or removes it where the value is null. A path is a value or a subtree, never both: its
/// scalar ancestors and its descendants go.
pub(super) fn set(fields: &mut Fields, path: &str, value: &Scalar) {
    remove_descendants(fields, path);
    if *value == Scalar::Null {
        fields.0.remove(path);
        return;
    }
    for ancestor in ancestors(path) {
        fields.0.remove(ancestor);
    }
    // An equal value stays as it stands: 0.0 and -0.0 are equal and have other bytes.
    if fields.0.get(path) != Some(value) {
        fields.0.insert(path.into(), value.clone());
    }
}

/// Sets `path` only where nothing is known of it: neither a value, nor one above, nor one below.
pub(super) fn fill(fields: &mut Fields, path: &str, value: &Scalar) {
    let known = *value == Scalar::Null
        || fields.0.contains_key(path)
        || ancestors(path).any(|ancestor| fields.0.contains_key(ancestor))
        || descendants(fields, path).next().is_some();
    if !known {
        fields.0.insert(path.into(), value.clone());
    }
}

fn remove_descendants(fields: &mut Fields, path: &str) {
    let below: Vec<Box<str>> = descendants(fields, path).cloned().collect();
    for descendant in below {
        fields.0.remove(&descendant);
    }
}

fn descendants<'a>(fields: &'a Fields, path: &'a str) -> impl Iterator<Item = &'a Box<str>> {
    fields
        .0
        .range::<str, _>((Bound::Excluded(path), Bound::Unbounded))
        .map(|(key, _)| key)
        .take_while(move |key| key.starts_with(path))
        .filter(move |key| is_descendant(key, path))
}
