//! Dotted paths. A dot between names is bare; a dot or a backslash inside a name has a backslash before
//! it. Every text is a path: `""` is that of the empty name.

use std::borrow::Cow;

/// Names in one path; what follows is part of the last. Keeps nesting shallow whatever others write.
const NAMES_MAX: usize = 128;

/// Escapes one name for use in a path.
#[must_use]
pub fn escape(name: &str) -> Cow<'_, str> {
    if !name.contains(['.', '\\']) {
        return Cow::Borrowed(name);
    }
    let mut escaped = String::with_capacity(name.len() + 2);
    push_escaped(name, &mut escaped);
    Cow::Owned(escaped)
}

pub(super) fn push_escaped(name: &str, path: &mut String) {
    for character in name.chars() {
        if matches!(character, '.' | '\\') {
            path.push('\\');
        }
        path.push(character);
    }
}

/// The name that an escaped segment stands for.
#[must_use]
pub fn unescape(segment: &str) -> Cow<'_, str> {
    if !segment.contains('\\') {
        return Cow::Borrowed(segment);
    }
    let mut name = String::with_capacity(segment.len());
    let mut characters = segment.chars().peekable();
    while let Some(character) = characters.next() {
        // A backslash before anything else stands for itself: others write paths too.
        let escaped = if character == '\\' {
            characters.next_if(|next| matches!(next, '.' | '\\'))
        } else {
            None
        };
        name.push(escaped.unwrap_or(character));
    }
    Cow::Owned(name)
}

/// The segments of a path, still escaped; at least one.
pub fn segments(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(path);
    let mut left = NAMES_MAX;
    std::iter::from_fn(move || {
        let path = rest?;
        left -= 1;
        let end = if left == 0 { None } else { dots(path).next() };
        rest = end.map(|end| &path[end + 1..]);
        Some(end.map_or(path, |end| &path[..end]))
    })
}

/// The proper ancestors of a path, shortest first: `a.b.c` → `a`, `a.b`.
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    dots(path).map(|end| &path[..end])
}

/// Whether `path` lies below `of`; a path is no descendant of itself.
#[must_use]
pub fn is_descendant(path: &str, of: &str) -> bool {
    path.strip_prefix(of).is_some_and(|rest| rest.starts_with('.'))
}

/// Where the bare dots of a path are.
fn dots(path: &str) -> impl Iterator<Item = usize> {
    let mut escaped = false;
    path.bytes().enumerate().filter_map(move |(at, byte)| {
        let bare = !escaped;
        escaped = bare && byte == b'\\';
        (bare && byte == b'.').then_some(at)
    })
}
