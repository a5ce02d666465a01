//! The filters of one stream: of the devices that it covers, it shows those that satisfy one of them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use query::{Filter, Limits, ParseError};

use crate::subscription::DeviceSet;

/// Conditions on a device, of which one is enough. Without any, nothing passes. Cheap to clone.
///
/// A change passes if a filter holds of it. A device as it is (in a snapshot, or as it was before a change)
/// passes if a filter holds of it standing still: before is the same as after.
#[derive(Clone, Default)]
pub struct Filters {
    list: Arc<[Arc<Filter>]>,
    tells_left: bool,
}

impl Filters {
    /// The filter that `text` says, and that a device is told to have left which satisfied it before a
    /// change and does not after.
    ///
    /// # Errors
    /// Where `text` is no filter, and why.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, ParseError> {
        let filter = Arc::new(Filter::parse(text, limits)?);
        Ok(Self {
            list: Arc::new([filter]),
            tells_left: true,
        })
    }

    /// None yet, and nothing is told of devices that satisfy them no more.
    #[must_use]
    pub fn silent() -> Self {
        Self::default()
    }

    /// With one more; one that says the same is there once.
    #[must_use]
    pub fn with(&self, filter: Filter) -> Self {
        if self.list.iter().any(|known| known.text() == filter.text()) {
            return self.clone();
        }
        let more = std::iter::once(Arc::new(filter));
        Self {
            list: self.list.iter().cloned().chain(more).collect(),
            tells_left: self.tells_left,
        }
    }

    /// Whether one of them is none of `before`.
    #[must_use]
    pub fn has_more_than(&self, before: &Self) -> bool {
        let is_known = |filter: &Filter| before.iter().any(|known| known.text() == filter.text());
        self.iter().any(|filter| !is_known(filter))
    }

    /// Each of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Filter>> {
        self.list.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nothing passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a device is told that satisfied one of them before a change and satisfies none after.
    #[must_use]
    pub const fn tells_left(&self) -> bool {
        self.tells_left
    }

    /// What they leave of `devices`, as far as they name ids.
    #[must_use]
    pub fn narrow(&self, devices: &DeviceSet) -> DeviceSet {
        let mut ids: BTreeSet<Box<str>> = BTreeSet::new();
        for filter in self.iter() {
            if filter.hint().is_never() {
                continue;
            }
            match filter.hint().devices() {
                Some(named) => ids.extend(named.iter().filter(|id| devices.contains(id)).cloned()),
                None => return devices.clone(),
            }
        }
        DeviceSet::Set(Arc::new(ids))
    }
}

/// Filters that say the same are the same.
impl PartialEq for Filters {
    fn eq(&self, other: &Self) -> bool {
        let texts = |filters: &Self| {
            filters
                .iter()
                .map(|filter| filter.text().to_owned())
                .collect::<Vec<_>>()
        };
        self.tells_left == other.tells_left
            && (Arc::ptr_eq(&self.list, &other.list) || texts(self) == texts(other))
    }
}

impl Eq for Filters {}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(texts: &[&str]) -> Filters {
        let parsed = texts.iter().map(|text| text.parse::<Filter>().unwrap());
        parsed.fold(Filters::silent(), |filters, filter| filters.with(filter))
    }

    fn named(ids: &[&str]) -> DeviceSet {
        DeviceSet::Set(Arc::new(ids.iter().map(|id| Box::from(*id)).collect()))
    }

    #[test]
    fn a_filter_that_says_the_same_is_there_once() {
        assert_eq!(filters(&["a > 1", "(a) > 1", "b"]).len(), 2);
        assert_eq!(filters(&["a > 1", "b"]), filters(&["(a > 1)", "b", "b"]));
        assert_ne!(filters(&["a > 1"]), filters(&["a > 2"]));
    }

    #[test]
    fn ids_narrow_the_devices_only_if_every_filter_names_some() {
        let all = DeviceSet::All;
        assert_eq!(
            filters(&["id = \"a\"", "id = \"b\" and x"]).narrow(&all),
            named(&["a", "b"])
        );
        assert_eq!(filters(&["id = \"a\"", "x"]).narrow(&all), all);
        assert_eq!(
            filters(&["id = \"a\"", "x"]).narrow(&named(&["c"])),
            named(&["c"])
        );
        assert_eq!(
            filters(&["id = \"a\" or id = \"c\""]).narrow(&named(&["c"])),
            named(&["c"])
        );
        assert_eq!(filters(&["id = \"a\" and id = \"b\""]).narrow(&all), named(&[]));
        assert_eq!(filters(&[]).narrow(&all), named(&[]));
    }
}
