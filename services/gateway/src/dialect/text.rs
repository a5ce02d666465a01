//! Pieces of JSON text that more than one dialect writes.

use journal::Partition;
use schemas::json;

use crate::subscription::Reset;

/// A quoted, escaped string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    json::write_string(text, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// RFC 3339 with milliseconds, quoted.
pub(crate) fn time(at: journal::Micros) -> String {
    let mut out = Vec::with_capacity(26);
    json::write_time(at, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// A list of strings.
pub(crate) fn list<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| quoted(item.as_ref())).collect();
    format!("[{}]", items.join(","))
}

/// A list of partitions.
pub(crate) fn numbers(partitions: &[Partition]) -> String {
    let list: Vec<String> = partitions.iter().map(ToString::to_string).collect();
    format!("[{}]", list.join(","))
}

/// What a reset says, as members of an object.
pub(crate) fn reset_members(reset: &Reset) -> String {
    let mut text = format!("\"reason\":\"{}\"", reset.reason.word());
    for (name, times) in [("requested", &reset.requested), ("available", &reset.available)] {
        if times.is_empty() {
            continue;
        }
        let list: Vec<String> = times
            .iter()
            .map(|(partition, time_ms)| format!("\"{partition}\":{}", time(time_ms.saturating_mul(1_000))))
            .collect();
        text.push_str(&format!(",\"{name}\":{{{}}}", list.join(",")));
    }
    if reset.duplicates {
        text.push_str(",\"duplicates\":true");
    }
    text
}
