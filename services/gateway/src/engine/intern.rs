//! Values that many connections share, found by key, counted, and dropped with their last user. Pure.

use std::hash::Hash;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use slab::Slab;

/// Number of an interned value.
pub(crate) type Id = u32;

pub(crate) struct Interner<K, V> {
    by_key: FxHashMap<Arc<K>, Id>,
    values: Slab<Counted<K, V>>,
}

struct Counted<K, V> {
    key: Arc<K>,
    users: usize,
    value: V,
}

impl<K: Hash + Eq + Clone, V> Interner<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            by_key: FxHashMap::default(),
            values: Slab::new(),
        }
    }

    /// The number of the value under `key`, made if nobody has it; counts one more user.
    pub(crate) fn acquire(&mut self, key: &K, make: impl FnOnce() -> V) -> Id {
        if let Some(id) = self.by_key.get(key) {
            self.values[*id as usize].users += 1;
            return *id;
        }
        let key = Arc::new(key.clone());
        let index = self.values.insert(Counted {
            key: Arc::clone(&key),
            users: 1,
            value: make(),
        });
        let id = Id::try_from(index).unwrap_or(Id::MAX);
        self.by_key.insert(key, id);
        id
    }

    /// The value under a number, if anybody uses it.
    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut V> {
        Some(&mut self.values.get_mut(id as usize)?.value)
    }

    /// Counts one user less; gives the value back with the last.
    pub(crate) fn release(&mut self, id: Id) -> Option<V> {
        self.release_entry(id).map(|(_, value)| value)
    }

    /// The same, with its key.
    pub(crate) fn release_entry(&mut self, id: Id) -> Option<(Arc<K>, V)> {
        let counted = self.values.get_mut(id as usize)?;
        counted.users -= 1;
        if counted.users > 0 {
            return None;
        }
        let counted = self.values.remove(id as usize);
        self.by_key.remove(&counted.key);
        Some((counted.key, counted.value))
    }
}

impl<K, V> std::ops::Index<Id> for Interner<K, V> {
    type Output = V;

    fn index(&self, id: Id) -> &V {
        &self.values[id as usize].value
    }
}

impl<K, V> std::ops::IndexMut<Id> for Interner<K, V> {
    fn index_mut(&mut self, id: Id) -> &mut V {
        &mut self.values[id as usize].value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_is_one_value_until_its_last_user_goes() {
        let mut interner: Interner<&str, u32> = Interner::new();
        let first = interner.acquire(&"a", || 1);
        assert_eq!(interner.acquire(&"a", || 2), first);
        assert_eq!(interner[first], 1);
        assert_eq!(interner.release(first), None);
        assert_eq!(interner.release(first), Some(1));
        let again = interner.acquire(&"a", || 3);
        assert_eq!(interner[again], 3);
    }
}
