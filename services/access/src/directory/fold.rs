//! The fold itself: records of `wakeline.control` in, what they mean out. No I/O.

use std::sync::Arc;

use journal::{Placement, Record};
use rustc_hash::FxHashMap;
use schemas::Micros;
use schemas::control::{Control, Revocation, Tenant};

use super::tokens::Tokens;

/// A tenant, and where its devices lie.
pub(crate) struct TenantEntry {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) placement: Arc<Placement>,
    /// The newest record of the tenant says something else than the first, which holds. Compaction
    /// would keep the newest, so the first must be appended again.
    contested: bool,
}

/// What all records so far mean.
pub(crate) struct Fold {
    partitions: u32,
    pub(crate) tokens: Tokens,
    pub(crate) tenants: FxHashMap<Box<str>, TenantEntry>,
    revocations: FxHashMap<Box<str>, Micros>,
}

/// What one record did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Something is different now.
    Changed,
    /// All is as it was.
    Unchanged,
    /// It cannot be read, or its key does not fit: skipped.
    Unreadable,
}

impl Fold {
    pub(crate) fn new(partitions: u32) -> Self {
        Self {
            partitions,
            tokens: Tokens::default(),
            tenants: FxHashMap::default(),
            revocations: FxHashMap::default(),
        }
    }

    pub(crate) fn apply(&mut self, record: &Record) -> Effect {
        let Some(value) = &record.value else {
            return self.remove(&record.key);
        };
        let Ok(control) = Control::decode(value) else {
            return Effect::Unreadable;
        };
        // A record under another's key could never be removed or replaced.
        if *control.key() != *record.key {
            return Effect::Unreadable;
        }
        match control {
            Control::Token(token) => {
                if self.tokens.put(&token) {
                    Effect::Changed
                } else {
                    Effect::Unreadable
                }
            }
            Control::Tenant(tenant) => self.put_tenant(tenant),
            Control::Revocation(revocation) => self.put_revocation(revocation),
            // Others fold these: the projector the rules, `node` the layout.
            Control::Rule(_) | Control::Layout(_) => Effect::Unchanged,
        }
    }

    /// Credentials of `subject` issued before this are void.
    pub(crate) fn not_before(&self, subject: &str) -> Option<Micros> {
        self.revocations.get(subject).copied()
    }

    /// The tenants whose first record must be appended again; asks for each once.
    pub(crate) fn take_contested(&mut self) -> Vec<Arc<Tenant>> {
        self.tenants
            .values_mut()
            .filter_map(|entry| std::mem::take(&mut entry.contested).then(|| Arc::clone(&entry.tenant)))
            .collect()
    }

    fn put_tenant(&mut self, tenant: Tenant) -> Effect {
        if let Some(first) = self.tenants.get_mut(&tenant.id) {
            first.contested = first.tenant.spread != tenant.spread;
            return Effect::Unchanged;
        }
        let entry = TenantEntry {
            placement: Arc::new(Placement::new(&tenant.id, tenant.spread, self.partitions)),
            tenant: Arc::new(tenant),
            contested: false,
        };
        self.tenants.insert(entry.tenant.id.clone(), entry);
        Effect::Changed
    }

    fn put_revocation(&mut self, revocation: Revocation) -> Effect {
        let boundary = self.revocations.entry(revocation.subject).or_insert(Micros::MIN);
        if *boundary >= revocation.not_before {
            return Effect::Unchanged;
        }
        *boundary = revocation.not_before;
        Effect::Changed
    }

    fn remove(&mut self, key: &str) -> Effect {
        let removed = match key.split_once('/') {
            Some(("token", id)) => self.tokens.remove(id),
            Some(("tenant", id)) => self.tenants.remove(id).is_some(),
            Some(("revocation", subject)) => self.revocations.remove(subject).is_some(),
            Some(_) => false,
            None => return Effect::Unreadable,
        };
        if removed {
            Effect::Changed
        } else {
            Effect::Unchanged
        }
    }
}

#[cfg(test)]
mod tests;
