//! Many filters on one document.

use std::cell::OnceCell;

use crate::field::Field;
use crate::value::{Fields, Value};

/// Places that are remembered at most.
const SLOTS: usize = 32;

/// A document that remembers the values that were read of it. Finding a value costs more than judging it: with
/// this around it, a document that many filters are run on is searched once for each place, not once for each
/// filter.
pub struct Memo<'d, F> {
    document: &'d F,
    /// A place has one slot, by its hash; of those that share one, the first is remembered.
    slots: [OnceCell<(Field, Value<'d>)>; SLOTS],
}

impl<'d, F: Fields> Memo<'d, F> {
    /// Nothing is read yet.
    #[must_use]
    #[inline]
    pub fn new(document: &'d F) -> Self {
        Self {
            document,
            slots: [const { OnceCell::new() }; SLOTS],
        }
    }
}

impl<F: Fields> Fields for Memo<'_, F> {
    #[inline]
    fn value(&self, field: &Field) -> Value<'_> {
        let slot = &self.slots[field.hash() as usize % SLOTS];
        let (known, value) = slot.get_or_init(|| (field.clone(), self.document.value(field)));
        if known == field {
            *value
        } else {
            self.document.value(field)
        }
    }

    fn is_container(&self, field: &Field) -> bool {
        self.document.is_container(field)
    }
}
