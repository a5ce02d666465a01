//! The row of a document, and the keys of the table `state`.
//!
//! | bytes | member |
//! |---|---|
//! | 1 | 1 = a document, 2 = it was deleted |
//! | 8 | source offset, big endian |
//! | of a document: varint, bytes | id of its location, so that the index is kept without decoding it; empty if it has none |
//! | of a document: rest | the document, as `schemas` encodes it |
//! | of a deletion: 8 | when, microseconds, big endian |
//!
//! A deletion stays a while, so that a late write of an older event loses against it.
//!
//! Every key begins with its kind and the generation of the layout: a newer layout sees nothing of an
//! older one, whose rows maintenance removes.

use std::sync::Arc;

use journal::{Micros, Offset, Partition};
use schemas::Document;
use state::{DeviceKey, StoreError, Stored};

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
/// Keys of the progress of alert rules begin with this.
const RULES: u8 = b'r';

const KIND_DOCUMENT: u8 = 1;
const KIND_DELETED: u8 = 2;
/// Length of what documents and deletions have in common.
const HEAD_BYTES: usize = 9;

/// The kinds of rows that belong to a layout.
pub(crate) const OF_LAYOUT: [u8; 5] = [DOCUMENT, BY_DEVICE, BY_LOCATION, PROGRESS, RULES];

/// What all keys of a kind begin with in one generation.
pub(crate) fn generation_prefix(kind: u8, generation: u32) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&generation.to_be_bytes());
    key
}

/// What every key of a document in `partition` begins with.
pub(super) fn partition_prefix(generation: u32, partition: Partition) -> Vec<u8> {
    let mut key = generation_prefix(DOCUMENT, generation);
    key.extend_from_slice(&partition.to_be_bytes());
    key
}

/// What every key of a document of `tenant` in `partition` begins with.
pub(super) fn tenant_prefix(generation: u32, partition: Partition, tenant: &str) -> Vec<u8> {
    let mut key = partition_prefix(generation, partition);
    key.extend_from_slice(tenant.as_bytes());
    key.push(0);
    key
}

/// The key of a document.
pub(super) fn document_key(generation: u32, partition: Partition, key: &DeviceKey) -> Vec<u8> {
    let mut bytes = tenant_prefix(generation, partition, &key.tenant);
    bytes.extend_from_slice(key.device.as_bytes());
    bytes
}

/// What the index by device has for `device`, before the tenant.
pub(super) fn by_device_prefix(generation: u32, device: &str) -> Vec<u8> {
    joined(BY_DEVICE, generation, &[device, ""])
}

/// The entry of the index by device.
pub(super) fn by_device(generation: u32, key: &DeviceKey) -> Vec<u8> {
    joined(BY_DEVICE, generation, &[&key.device, &key.tenant])
}

/// What the index by location has for `location`, before tenant and device.
pub(super) fn by_location_prefix(generation: u32, location: &str) -> Vec<u8> {
    joined(BY_LOCATION, generation, &[location, ""])
}

/// The entry of the index by location.
pub(super) fn by_location(generation: u32, location: &str, key: &DeviceKey) -> Vec<u8> {
    joined(BY_LOCATION, generation, &[location, &key.tenant, &key.device])
}

fn joined(kind: u8, generation: u32, parts: &[&str]) -> Vec<u8> {
    let mut key = generation_prefix(kind, generation);
    key.extend_from_slice(parts.join("\0").as_bytes());
    key
}

/// The key of the progress of a partition.
pub(super) fn progress_key(generation: u32, partition: Partition) -> Vec<u8> {
    let mut key = generation_prefix(PROGRESS, generation);
    key.extend_from_slice(&partition.to_be_bytes());
    key
}

/// The key of the progress of alert rules in a partition.
pub(super) fn rules_key(generation: u32, partition: Partition) -> Vec<u8> {
    let mut key = generation_prefix(RULES, generation);
    key.extend_from_slice(&partition.to_be_bytes());
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
pub(super) fn encode(source: Offset, document: &Document) -> Vec<u8> {
    let encoded = document.encode();
    let mut row = head(KIND_DOCUMENT, source, encoded.len() + 16);
    record::put_text(&mut row, location_of(document));
    row.extend_from_slice(&encoded);
    row
}

/// The row of a deletion.
pub(super) fn encode_deleted(source: Offset, at: Micros) -> Vec<u8> {
    let mut row = head(KIND_DELETED, source, 8);
    row.extend_from_slice(&at.to_be_bytes());
    row
}

fn head(kind: u8, source: Offset, more: usize) -> Vec<u8> {
    let mut row = Vec::with_capacity(HEAD_BYTES + more);
    row.push(kind);
    row.extend_from_slice(&source.to_be_bytes());
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

/// The source offset of a row.
pub(super) fn source(row: &[u8]) -> Result<Offset, StoreError> {
    row.get(1..)
        .and_then(keys::u64_at)
        .ok_or_else(|| corrupt("a row of a document", &"cut off"))
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
    let source = source(row)?;
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
