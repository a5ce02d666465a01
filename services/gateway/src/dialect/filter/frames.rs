//! Frames of the filter dialect.

use schemas::Document;
use schemas::json::write_merged_document;

use crate::dialect::text::{quoted, reset_members};
use crate::dialect::{Control, Dialect, Item, Look};
use crate::subscription::Transport;

/// Writes devices as they were when a filter held, and deletions.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Frames;

impl Dialect for Frames {
    fn name(&self) -> &'static str {
        "filter"
    }

    fn data(&self, look: Look<'_>, item: Item<'_>, cursor: &str, out: &mut Vec<u8>) -> bool {
        let document = match item {
            Item::Record(record) => record.change().map(|change| &change.document),
            Item::Change(change) => Some(&change.document),
            Item::Document(document) => Some(document),
            Item::Event(_) => None,
        };
        match (document, item) {
            (Some(document), _) => write_update(document, out),
            (None, Item::Record(record)) if record.value.is_none() => {
                out.extend_from_slice(b"{\"delete\":");
                out.extend_from_slice(quoted(record.device()).as_bytes());
            }
            (None, _) => return false,
        }
        if look.cursors {
            out.extend_from_slice(b",\"cursor\":\"");
            out.extend_from_slice(cursor.as_bytes());
            out.push(b'"');
        }
        out.push(b'}');
        true
    }

    fn control(
        &self,
        look: Look<'_>,
        control: Control<'_>,
        cursor: &str,
        out: &mut Vec<u8>,
    ) -> Option<&'static str> {
        let Control::Reset(reset) = control else {
            return None;
        };
        if !look.cursors || look.transport != Transport::WebSocket {
            return None;
        }
        let members = reset_members(reset);
        out.extend_from_slice(format!("{{\"reset\":{{\"cursor\":\"{cursor}\",{members}}}}}").as_bytes());
        Some("reset")
    }
}

/// The frame without its end.
fn write_update(document: &Document, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"update\":");
    write_merged_document(document, out);
}
