//! Keys of pages: opaque, URL-safe, and refused when they are not ours.
//!
//! Base64 of the letter of the list that it pages, what that list needs, and a CRC-32 of both.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use state::StoreError;

/// The list that a key pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// Documents of a tenant.
    Tenant = b't' as isize,
    /// Documents of a partition.
    Partition = b'p' as isize,
    /// History.
    History = b'h' as isize,
}

/// A page key is at most this long: a tenant and a device and their escapes fit several times.
const TEXT_BYTES_MAX: usize = 2_048;

pub(super) fn encode(list: List, position: &[u8]) -> Box<str> {
    let mut bytes = vec![list as u8];
    bytes.extend_from_slice(position);
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes).into()
}

pub(super) fn decode(list: List, text: &str) -> Result<Vec<u8>, StoreError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(StoreError::BadPage);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| StoreError::BadPage)?;
    let (body, checksum) = bytes.split_last_chunk::<4>().ok_or(StoreError::BadPage)?;
    match body.split_first() {
        Some((letter, position))
            if *letter == list as u8 && crc32fast::hash(body).to_be_bytes() == *checksum =>
        {
            Ok(position.to_vec())
        }
        _ => Err(StoreError::BadPage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_by_its_own_list_only() {
        let key = encode(List::Tenant, b"bus-14");
        assert_eq!(decode(List::Tenant, &key), Ok(b"bus-14".to_vec()));
        assert_eq!(decode(List::History, &key), Err(StoreError::BadPage));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "garbage", "dGVzdA", "ünïcode", &"A".repeat(5_000)] {
            assert_eq!(decode(List::Tenant, text), Err(StoreError::BadPage));
        }
    }
}
