//! From the flat map back to a nested object.
//!
//! Where somebody wrote both a value and something below it, the value gives way, so that no name
//! stands twice in an object.

use serde_json::{Map, Value};

use super::path::{segments, unescape};
use super::{Fields, Scalar, ScalarRef};
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
        let paths: Vec<(&str, ScalarRef<'_>)> = self
            .0
            .iter()
            .map(|(path, value)| (&**path, value.borrowed()))
            .collect();
        write_members(&paths, out, wanted, is_first);
    }
}

/// Writes the nested object of `paths`, which are ordered and stand there once.
pub(crate) fn write_nested(paths: &[(&str, ScalarRef<'_>)], out: &mut Vec<u8>) {
    out.push(b'{');
    write_members(paths, out, |_| true, true);
    out.push(b'}');
}

fn write_members(
    paths: &[(&str, ScalarRef<'_>)],
    out: &mut Vec<u8>,
    wanted: impl Fn(&str) -> bool,
    is_first: bool,
) {
    let mut previous: Option<&str> = None;
    let mut open = 0;
    for (index, (path, value)) in paths.iter().enumerate() {
        let is_wanted = segments(path).next().is_none_or(|name| wanted(&unescape(name)));
        if !is_wanted || gives_way(path, &paths[index + 1..]) {
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

/// Whether something else lies below this path. Its descendants are among those that `follow` it, with
/// nothing between but names that go on with a character less than a dot.
fn gives_way(path: &str, follow: &[(&str, ScalarRef<'_>)]) -> bool {
    follow
        .iter()
        .map_while(|(next, _)| next.strip_prefix(path))
        .find_map(|rest| match rest.as_bytes().first() {
            Some(b'.') => Some(true),
            Some(byte) if *byte < b'.' => None,
            _ => Some(false),
        })
        .unwrap_or(false)
}
