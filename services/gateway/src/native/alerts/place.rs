//! Where a page of standing alerts ends.

use access::http::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use state::StoreError;

use crate::native::answer::store_problem;

/// In the slots of the tenant's placement: so many, then within one the page of documents that begins
/// after `inner`, then so many alerts of that page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) slot: usize,
    pub(super) skip: usize,
    pub(super) inner: Option<Box<str>>,
}

impl Place {
    pub(super) fn write(&self) -> String {
        let inner = self.inner.as_deref().unwrap_or_default();
        URL_SAFE_NO_PAD.encode(format!("{}.{}.{inner}", self.slot, self.skip))
    }

    pub(super) fn read(page: &str) -> Result<Self, Problem> {
        let read = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(page).ok()?).ok()?;
            let mut parts = text.splitn(3, '.');
            Some(Self {
                slot: parts.next()?.parse().ok()?,
                skip: parts.next()?.parse().ok()?,
                inner: Some(parts.next()?)
                    .filter(|inner| !inner.is_empty())
                    .map(Into::into),
            })
        };
        read().ok_or_else(|| store_problem(&StoreError::BadPage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        for inner in [None, Some("a.b-c")] {
            let place = Place {
                slot: 3,
                skip: 41,
                inner: inner.map(Into::into),
            };
            assert_eq!(Place::read(&place.write()).unwrap(), place);
        }
        for bad in ["", "!", "YQ", "MS4"] {
            assert!(Place::read(bad).is_err(), "{bad}");
        }
    }
}
