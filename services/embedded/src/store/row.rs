//! The row of a document, and the keys of the table `state`.
//!
//! | bytes | member |
//! |---|---|
//! | 1 | 1 = a document, 2 = it was deleted |
//! | 4 | generation of the layout, big endian |
//! | 8 | source offset, big endian |
//! | of a document: varint, bytes | id of its location, so that the index is kept without decoding it; empty if it has none |
//! | of a document: rest | the document, as `schemas` encodes it |
//! | of a deletion: 8 | when, microseconds, big endian |
//!
//! A deletion stays a while, so that a late write of an older event loses against it.

use std::sync::Arc;

use journal::{Micros, Offset, Partition};
use schemas::Document;
use state::{StoreError, Stored};

use super::corrupt;
use crate::{keys, record};

/// Keys of documents begin with this.
const DOCUMENT: u8 = b'd';
/// Keys of deletions begin with this.
pub(crate) const DELETIONS: [u8; 1] = [b'x'];
/// Keys of the index by device begin with this.
const BY_DEVICE: u8 = b'i';
/// Keys of the index by location begin with this.
const BY_LOCATION: u8 = b'l';
/// Keys of progress begin with this.
const PROGRESS: u8 = b'a';

const KIND_DOCUMENT: u8 = 1;
const KIND_DELETED: u8 = 2;
/// Length of what documents and deletions have in common.
const HEAD_BYTES: usize = 13;

/// Which write is newer: of a later layout, or of the same and a later event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub(super) generation: u32,
    pub(super) source: Offset,
}

/// What every key of a document in `partition` begins with.
pub(super) fn partition_prefix(partition: Partition) -> Vec<u8> {
    let mut key = vec![DOCUMENT];
    key.extend_from_slice(&partition.to_be_bytes());
    key
}

/// What every key of a document of `tenant` in `partition` begins with.
pub(super) fn tenant_prefix(partition: Partition, tenant: &str) -> Vec<u8> {
    let mut key = partition_prefix(partition);
    key.extend_from_slice(tenant.as_bytes());
    key.push(0);
    key
}

/// The key of a document.
pub(super) fn document_key(partition: Partition, tenant: &str, device: &str) -> Vec<u8> {
    let mut key = tenant_prefix(partition, tenant);
    key.extend_from_slice(device.as_bytes());
    key
}

/// What the index by device has for `device`, before the tenant.
pub(super) fn by_device_prefix(device: &str) -> Vec<u8> {
    joined(BY_DEVICE, &[device], true)
}

/// The entry of the index by device.
pub(super) fn by_device(device: &str, tenant: &str) -> Vec<u8> {
    joined(BY_DEVICE, &[device, tenant], false)
}

/// What the index by location has for `location`, before tenant and device.
pub(super) fn by_location_prefix(location: &str) -> Vec<u8> {
    joined(BY_LOCATION, &[location], true)
}

/// The entry of the index by location.
pub(super) fn by_location(location: &str, tenant: &str, device: &str) -> Vec<u8> {
    joined(BY_LOCATION, &[location, tenant, device], false)
}

fn joined(kind: u8, parts: &[&str], open: bool) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(parts.join("\0").as_bytes());
    if open {
        key.push(0);
    }
    key
}

/// The key of the progress of a partition.
pub(super) fn progress_key(generation: u32, partition: Partition) -> [u8; 9] {
    let mut key = [PROGRESS; 9];
    key[1..5].copy_from_slice(&generation.to_be_bytes());
    key[5..].copy_from_slice(&partition.to_be_bytes());
    key
}

/// The key that remembers when a document was deleted; they stand in order of that time.
pub(crate) fn deletion_key(at: Micros, document_key: &[u8]) -> Vec<u8> {
    [&DELETIONS[..], &keys::ordered(at).to_be_bytes(), document_key].concat()
}

/// What a [`deletion_key`] is made of.
pub(crate) fn deletion_of(key: &[u8]) -> Option<(Micros, &[u8])> {
    let (at, document_key) = key.get(1..)?.split_first_chunk::<8>()?;
    Some(((u64::from_be_bytes(*at) ^ (1 << 63)).cast_signed(), document_key))
}

/// The row of a document.
pub(super) fn encode(version: Version, document: &Document) -> Vec<u8> {
    let encoded = document.encode();
    let mut row = head(KIND_DOCUMENT, version, encoded.len() + 16);
    record::put_text(&mut row, location_of(document));
    row.extend_from_slice(&encoded);
    row
}

/// The row of a deletion.
pub(super) fn encode_deleted(version: Version, at: Micros) -> Vec<u8> {
    let mut row = head(KIND_DELETED, version, 8);
    row.extend_from_slice(&at.to_be_bytes());
    row
}

fn head(kind: u8, version: Version, more: usize) -> Vec<u8> {
    let mut row = Vec::with_capacity(HEAD_BYTES + more);
    row.push(kind);
    row.extend_from_slice(&version.generation.to_be_bytes());
    row.extend_from_slice(&version.source.to_be_bytes());
    row
}

/// The id of a document's location; empty if it has none.
pub(super) fn location_of(document: &Document) -> &str {
    document
        .location
        .as_ref()
        .and_then(|location| location.id.as_deref())
        .unwrap_or_default()
}

/// The version of a row.
pub(super) fn version(row: &[u8]) -> Result<Version, StoreError> {
    let read = || {
        let generation = keys::u32_at(row.get(1..)?)?;
        Some(Version {
            generation,
            source: keys::u64_at(row.get(5..)?)?,
        })
    };
    read().ok_or_else(|| corrupt("a row of a document", &"cut off"))
}

/// When the document of this row was deleted, if it was.
pub(crate) fn deleted_at(row: &[u8]) -> Option<Micros> {
    match row.split_first()? {
        (&KIND_DELETED, _) => keys::u64_at(row.get(HEAD_BYTES..)?).map(u64::cast_signed),
        _ => None,
    }
}

/// The id of the location in a row, if it has a document with one.
pub(super) fn location(row: &[u8]) -> Result<Option<&str>, StoreError> {
    if row.first() != Some(&KIND_DOCUMENT) {
        return Ok(None);
    }
    let mut rest = record::Input(row.get(HEAD_BYTES..).unwrap_or_default());
    let location = rest.text().map_err(|why| corrupt("a row of a document", &why))?;
    Ok((!location.is_empty()).then_some(location))
}

/// The document in a row; `None` if it was deleted.
pub(super) fn decode(row: &[u8]) -> Result<Option<Stored>, StoreError> {
    let Version { source, .. } = version(row)?;
    match row.first() {
        Some(&KIND_DOCUMENT) => {}
        Some(&KIND_DELETED) => return Ok(None),
        _ => return Err(corrupt("a row of a document", &"unknown kind")),
    }
    let mut rest = record::Input(row.get(HEAD_BYTES..).unwrap_or_default());
    rest.text().map_err(|why| corrupt("a row of a document", &why))?;
    let document = Document::decode(rest.0).map_err(|why| corrupt("a row of a document", &why))?;
    Ok(Some(Stored {
        document: Arc::new(document),
        source,
    }))
}
