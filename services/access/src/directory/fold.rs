//! The fold itself: records of `wakeline.control` in, what they mean out. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use journal::{Placement, Record};
use rustc_hash::{FxHashMap, FxHashSet};
use schemas::Micros;
use schemas::control::{Control, Revocation, Rule, Tenant, Token};

use super::tokens::Tokens;
use crate::credential::session_end;

/// A tenant, and where its devices lie.
pub(crate) struct TenantEntry {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) placement: Arc<Placement>,
}

/// A record whose newest version does not hold. Compaction would keep the newest, so what holds must
/// be appended again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Repair {
    /// Two nodes made the tenant at once: the first record holds.
    Tenant(Arc<Tenant>),
    /// The token was changed by one node while another took it back: it stays taken back.
    Token {
        /// The token.
        id: Box<str>,
        /// Time of the late change.
        at: Micros,
    },
}

/// Removed tokens that are remembered, to tell a late change from a new token. The two cross within
/// seconds, so that forgetting all of them now and then does no harm.
const REMOVED_MAX: usize = 65_536;

/// What all records so far mean.
pub(crate) struct Fold {
    partitions: u32,
    pub(crate) tokens: Tokens,
    pub(crate) tenants: FxHashMap<Box<str>, TenantEntry>,
    revocations: FxHashMap<Box<str>, Micros>,
    /// How many of them are of devices, by tenant.
    devices_revoked: FxHashMap<Box<str>, usize>,
    /// Those of sessions, by when the session ends: from then on, nobody needs them.
    sessions: BTreeSet<(Micros, Box<str>)>,
    /// Alert rules, by tenant and id. Who may do what does not depend on them.
    rules: FxHashMap<Box<str>, BTreeMap<Box<str>, Arc<Rule>>>,
    removed: FxHashSet<Box<str>>,
    /// By the key of the record.
    repairs: FxHashMap<Box<str>, Repair>,
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
            devices_revoked: FxHashMap::default(),
            sessions: BTreeSet::new(),
            rules: FxHashMap::default(),
            removed: FxHashSet::default(),
            repairs: FxHashMap::default(),
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
            Control::Token(token) => self.put_token(&token, record),
            Control::Tenant(tenant) => self.put_tenant(tenant, &record.key),
            Control::Revocation(revocation) => self.put_revocation(revocation),
            Control::Rule(rule) => {
                let rules = self.rules.entry(rule.tenant.clone()).or_default();
                rules.insert(rule.id.clone(), Arc::new(rule));
                Effect::Unchanged
            }
            // `node` folds this one.
            Control::Layout(_) => Effect::Unchanged,
        }
    }

    /// Credentials of `subject` issued before this are void.
    pub(crate) fn not_before(&self, subject: &str) -> Option<Micros> {
        self.revocations.get(subject).copied()
    }

    /// How many devices of a tenant have a revocation.
    pub(crate) fn devices_revoked(&self, tenant: &str) -> usize {
        self.devices_revoked.get(tenant).copied().unwrap_or_default()
    }

    /// Subjects of revocations that nobody needs any more at `now`: at most `most`.
    pub(crate) fn moot_revocations(&self, now: Micros, most: usize) -> Vec<Box<str>> {
        let moot = self.sessions.iter().take_while(|(end, _)| *end <= now);
        moot.take(most).map(|(_, subject)| subject.clone()).collect()
    }

    /// The alert rules of a tenant, by id.
    pub(crate) fn rules(&self, tenant: &str) -> Option<&BTreeMap<Box<str>, Arc<Rule>>> {
        self.rules.get(tenant)
    }

    /// What must be appended again; each is told once.
    pub(crate) fn take_repairs(&mut self) -> Vec<Repair> {
        self.repairs.drain().map(|(_, repair)| repair).collect()
    }

    fn put_token(&mut self, token: &Token, record: &Record) -> Effect {
        if self.removed.contains(&token.id) {
            let repair = Repair::Token {
                id: token.id.clone(),
                at: record.timestamp_ms.saturating_mul(1_000),
            };
            self.repairs.insert(record.key.clone(), repair);
            return Effect::Unchanged;
        }
        if self.tokens.put(token) {
            Effect::Changed
        } else {
            Effect::Unreadable
        }
    }

    fn put_tenant(&mut self, tenant: Tenant, key: &str) -> Effect {
        if let Some(first) = self.tenants.get(&tenant.id) {
            if first.tenant.spread == tenant.spread {
                self.repairs.remove(key);
            } else {
                let first = Repair::Tenant(Arc::clone(&first.tenant));
                self.repairs.insert(key.into(), first);
            }
            return Effect::Unchanged;
        }
        let entry = TenantEntry {
            placement: Arc::new(Placement::new(&tenant.id, tenant.spread, self.partitions)),
            tenant: Arc::new(tenant),
        };
        self.tenants.insert(entry.tenant.id.clone(), entry);
        Effect::Changed
    }

    fn put_revocation(&mut self, revocation: Revocation) -> Effect {
        if let Some(end) = session_end(&revocation.subject) {
            self.sessions.insert((end, revocation.subject.clone()));
        }
        if !self.revocations.contains_key(&revocation.subject)
            && let Some(tenant) = tenant_of(&revocation.subject)
        {
            *self.devices_revoked.entry(tenant.into()).or_default() += 1;
        }
        let boundary = self.revocations.entry(revocation.subject).or_insert(Micros::MIN);
        if *boundary >= revocation.not_before {
            return Effect::Unchanged;
        }
        *boundary = revocation.not_before;
        Effect::Changed
    }

    fn remove_rule(&mut self, rule: &str) {
        if let Some((tenant, id)) = rule.split_once('/')
            && let Some(rules) = self.rules.get_mut(tenant)
        {
            rules.remove(id);
            if rules.is_empty() {
                self.rules.remove(tenant);
            }
        }
    }

    fn remove(&mut self, key: &str) -> Effect {
        self.repairs.remove(key);
        let removed = match key.split_once('/') {
            Some(("token", id)) => {
                if self.removed.len() >= REMOVED_MAX {
                    self.removed.clear();
                }
                self.removed.insert(id.into());
                self.tokens.remove(id)
            }
            Some(("tenant", id)) => self.tenants.remove(id).is_some(),
            Some(("revocation", subject)) => {
                if let Some(end) = session_end(subject) {
                    self.sessions.remove(&(end, subject.into()));
                }
                let is_removed = self.revocations.remove(subject).is_some();
                if is_removed
                    && let Some(tenant) = tenant_of(subject)
                    && let Some(count) = self.devices_revoked.get_mut(tenant)
                {
                    *count -= 1;
                }
                is_removed
            }
            Some(("rule", rule)) => {
                self.remove_rule(rule);
                false
            }
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

/// The tenant of a revocation of a device.
fn tenant_of(subject: &str) -> Option<&str> {
    let (tenant, _) = subject.strip_prefix("device:")?.split_once('/')?;
    Some(tenant)
}

#[cfg(test)]
mod tests;
