//! From the flat map back to a nested object.
//!
//! Where somebody wrote both a value and something below it, the value gives way, so that no name
//! stands twice in an object.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::{segments, unescape};
use super::{Fields, Scalar};
use crate::token;

impl Fields {
    /// The nested object.
    #[must_use]
    pub fn nest(&self) -> Value {
        let mut root = Map::new();
        for (path, value) in &self.0 {
            insert(&mut root, path, value);
        }
        Value::Object(root)
    }

    /// Writes the nested object as compact JSON, names in the order of their paths.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        self.write_members(out, |_| true, true);
        out.push(b'}');
    }

    /// Writes the members of the nested object whose names are `wanted`, to stand in an object that is
    /// written around them; `is_first` where nothing stands before them in it.
    pub(crate) fn write_members(&self, out: &mut Vec<u8>, wanted: impl Fn(&str) -> bool, is_first: bool) {
        let mut previous: Option<&str> = None;
        let mut open = 0;
        for (path, value) in &self.0 {
            let is_wanted = segments(path).next().is_none_or(|name| wanted(&unescape(name)));
            if !is_wanted || gives_way(&self.0, path) {
                continue;
            }
            let names = segments(path).count() - 1;
            let shared = previous.map_or(0, |previous| shared_objects(previous, path).min(names).min(open));
            for _ in shared..open {
                out.push(b'}');
            }
            if previous.is_some() || !is_first {
                out.push(b',');
            }
            for (index, segment) in segments(path).enumerate().skip(shared) {
                token::string(&unescape(segment), out);
                out.extend_from_slice(if index < names { b":{" } else { b":" });
            }
            value.write_json(out);
            open = names;
            previous = Some(path);
        }
        for _ in 0..open {
            out.push(b'}');
        }
    }
}

fn insert(root: &mut Map<String, Value>, path: &str, value: &Scalar) {
    let mut object = root;
    let mut names = segments(path).map(unescape).peekable();
    while let Some(name) = names.next() {
        if names.peek().is_none() {
            object.insert(name.into_owned(), value.to_json());
            return;
        }
        let slot = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        let Value::Object(inner) = slot else { return };
        object = inner;
    }
}

/// How many leading names two paths share.
fn shared_objects(one: &str, other: &str) -> usize {
    segments(one)
        .zip(segments(other))
        .take_while(|(one, other)| one == other)
        .count()
}

/// Whether something else in the map lies below this path. Its descendants follow it in the map, with
/// nothing between but names that go on with a character less than a dot.
fn gives_way(fields: &BTreeMap<Box<str>, Scalar>, path: &str) -> bool {
    let after = (std::ops::Bound::Excluded(path), std::ops::Bound::Unbounded);
    fields
        .range::<str, _>(after)
        .map_while(|(next, _)| next.strip_prefix(path))
        .find_map(|rest| match rest.as_bytes().first() {
            Some(b'.') => Some(true),
            Some(byte) if *byte < b'.' => None,
            _ => Some(false),
        })
        .unwrap_or(false)
}
