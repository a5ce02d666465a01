//! API tokens in memory: at most 100 bytes each, besides grants, which equal tokens share.

use std::collections::{BTreeSet, HashSet};
use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::HashTable;
use rustc_hash::{FxBuildHasher, FxHashMap};
use schemas::Micros;
use schemas::control::{Role, Token};

use crate::{Principal, Proof, Scope};

/// Entries of one block: blocks never move, so growth costs no second copy of everything.
const BLOCK: usize = 1_024;
/// Stands for "never ends".
const NEVER: Micros = Micros::MAX;

/// Id of a token: 1 to 15 ASCII letters and digits, kept in place.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Id([u8; 16]);

impl Id {
    fn new(text: &str) -> Option<Self> {
        let valid = (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !valid {
            return None;
        }
        let mut bytes = [0; 16];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Some(Self(bytes))
    }

    fn as_str(&self) -> &str {
        text(&self.0)
    }

    fn hash(&self) -> u64 {
        FxBuildHasher.hash_one(self.0)
    }
}

/// What stands before the padding of zeros.
fn text(bytes: &[u8]) -> &str {
    let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..length]).unwrap_or_default()
}

/// What a token grants. Tokens with equal grants share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Grant {
    role: Role,
    tenant: Option<Box<str>>,
    devices: Scope,
    permissions: Arc<BTreeSet<Box<str>>>,
    staff: bool,
    superuser: bool,
    organizations: Arc<BTreeSet<Box<str>>>,
}

/// One token.
pub(crate) struct Entry {
    id: Id,
    pub(crate) hash: [u8; 32],
    last_four: [u8; 4],
    grant: Arc<Grant>,
    created_at: Micros,
    expires_at: Micros,
}

impl Entry {
    fn new(id: Id, token: &Token, grant: Arc<Grant>) -> Self {
        let mut last_four = [0; 4];
        for (to, from) in last_four
            .iter_mut()
            .zip(token.last_four.bytes().filter(u8::is_ascii))
        {
            *to = from;
        }
        Self {
            id,
            hash: token.hash,
            last_four,
            grant,
            created_at: token.created_at,
            expires_at: token.expires_at.unwrap_or(NEVER),
        }
    }

    pub(crate) fn expires_at(&self) -> Option<Micros> {
        (self.expires_at != NEVER).then_some(self.expires_at)
    }

    /// By age, then by id.
    fn order(&self) -> (Micros, &str) {
        (self.created_at, self.id.as_str())
    }

    pub(crate) fn principal(&self) -> Principal {
        Principal {
            id: self.id.as_str().into(),
            proof: Proof::Token,
            session: None,
            role: self.grant.role,
            tenant: self.grant.tenant.clone(),
            devices: self.grant.devices.clone(),
            permissions: Arc::clone(&self.grant.permissions),
            staff: self.grant.staff,
            superuser: self.grant.superuser,
            organizations: Arc::clone(&self.grant.organizations),
            issued_at: Some(self.created_at),
            expires_at: self.expires_at(),
        }
    }

    fn token(&self) -> Token {
        Token {
            id: self.id.as_str().into(),
            hash: self.hash,
            last_four: text(&self.last_four).into(),
            role: self.grant.role,
            tenant: self.grant.tenant.clone(),
            devices: match &self.grant.devices {
                Scope::All => None,
                Scope::Devices(devices) => Some(devices.iter().cloned().collect()),
            },
            permissions: self.grant.permissions.iter().cloned().collect(),
            staff: self.grant.staff,
            superuser: self.grant.superuser,
            organizations: self.grant.organizations.iter().cloned().collect(),
            created_at: self.created_at,
            expires_at: self.expires_at(),
        }
    }
}

/// What a tenant's tokens come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Tokens.
    pub(crate) tokens: usize,
    /// Devices that they name; one that several name counts for each.
    pub(crate) devices: usize,
}

/// Every API token.
#[derive(Default)]
pub(crate) struct Tokens {
    loads: FxHashMap<Box<str>, Load>,
    blocks: Vec<Vec<Entry>>,
    slots: HashTable<u32>,
    grants: HashSet<Arc<Grant>, FxBuildHasher>,
}

impl Tokens {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Entry> {
        let id = Id::new(id)?;
        let slot = self
            .slots
            .find(id.hash(), |slot| at(&self.blocks, *slot).id == id)?;
        Some(at(&self.blocks, *slot))
    }

    /// The record of a token.
    pub(crate) fn record(&self, id: &str) -> Option<Token> {
        self.get(id).map(Entry::token)
    }

    /// The newest records, of one tenant or of all, that are within these devices: at most `limit`, older
    /// than the one named.
    pub(crate) fn records(
        &self,
        tenant: Option<&str>,
        devices: &Scope,
        after: Option<(Micros, &str)>,
        limit: usize,
    ) -> Vec<Token> {
        let mut entries: Vec<&Entry> = self
            .blocks
            .iter()
            .flatten()
            .filter(|entry| tenant.is_none_or(|tenant| entry.grant.tenant.as_deref() == Some(tenant)))
            .filter(|entry| devices.includes(&entry.grant.devices))
            .filter(|entry| after.is_none_or(|after| entry.order() < after))
            .collect();
        entries.sort_unstable_by(|a, b| b.order().cmp(&a.order()));
        entries.truncate(limit);
        entries.into_iter().map(Entry::token).collect()
    }

    /// Adds or replaces. Answers whether the token can be kept: others' ids may be too long.
    pub(crate) fn put(&mut self, token: &Token) -> bool {
        let Some(id) = Id::new(&token.id) else {
            return false;
        };
        let entry = Entry::new(id, token, self.grant(token));
        let blocks = &mut self.blocks;
        let found = self.slots.find(id.hash(), |slot| at(blocks, *slot).id == id);
        if let Some(slot) = found {
            let place = &mut blocks[*slot as usize / BLOCK][*slot as usize % BLOCK];
            let old = std::mem::replace(place, entry);
            self.unload(&old.grant);
            self.add_load(token);
            self.release(old.grant);
            return true;
        }
        let Ok(slot) = u32::try_from(self.slots.len()) else {
            return false;
        };
        if self.slots.len() == blocks.len() * BLOCK {
            blocks.push(Vec::with_capacity(BLOCK));
        }
        if let Some(last) = blocks.last_mut() {
            last.push(entry);
        }
        self.slots
            .insert_unique(id.hash(), slot, |slot| at(blocks, *slot).id.hash());
        self.add_load(token);
        true
    }

    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let Some(id) = Id::new(id) else {
            return false;
        };
        let blocks = &self.blocks;
        let Ok(found) = self
            .slots
            .find_entry(id.hash(), |slot| at(blocks, *slot).id == id)
        else {
            return false;
        };
        let (hole, _) = found.remove();
        self.fill(hole);
        true
    }

    /// Moves the last entry into `hole`, so that the blocks stay dense.
    fn fill(&mut self, hole: u32) {
        let Some(mut last) = self.blocks.last_mut().and_then(Vec::pop) else {
            return;
        };
        if self.blocks.last().is_some_and(Vec::is_empty) {
            self.blocks.pop();
        }
        // The index has lost the hole's slot already, so its length is the slot of the last entry.
        let moved = self.slots.len();
        if moved != hole as usize {
            let index = self
                .slots
                .find_mut(last.id.hash(), |slot| *slot as usize == moved);
            if let Some(slot) = index {
                *slot = hole;
            }
            let place = &mut self.blocks[hole as usize / BLOCK][hole as usize % BLOCK];
            last = std::mem::replace(place, last);
        }
        self.unload(&last.grant);
        self.release(last.grant);
    }

    fn grant(&mut self, token: &Token) -> Arc<Grant> {
        let grant = Grant {
            role: token.role,
            tenant: token.tenant.clone(),
            devices: match &token.devices {
                None => Scope::All,
                Some(devices) => Scope::Devices(Arc::new(devices.iter().cloned().collect())),
            },
            permissions: Arc::new(token.permissions.iter().cloned().collect()),
            staff: token.staff,
            superuser: token.superuser,
            organizations: Arc::new(token.organizations.iter().cloned().collect()),
        };
        if let Some(known) = self.grants.get(&grant) {
            return Arc::clone(known);
        }
        let grant = Arc::new(grant);
        self.grants.insert(Arc::clone(&grant));
        grant
    }

    /// What the tokens of a tenant come to.
    pub(crate) fn load(&self, tenant: &str) -> Load {
        self.loads.get(tenant).copied().unwrap_or_default()
    }

    fn add_load(&mut self, token: &Token) {
        if let Some(tenant) = &token.tenant {
            let load = self.loads.entry(tenant.clone()).or_default();
            load.tokens += 1;
            load.devices += token.devices.as_ref().map_or(0, Vec::len);
        }
    }

    fn unload(&mut self, grant: &Grant) {
        let Some(tenant) = &grant.tenant else {
            return;
        };
        if let Some(load) = self.loads.get_mut(tenant) {
            load.tokens -= 1;
            load.devices = load.devices.saturating_sub(match &grant.devices {
                Scope::All => 0,
                Scope::Devices(devices) => devices.len(),
            });
            if load.tokens == 0 {
                self.loads.remove(tenant);
            }
        }
    }

    /// Forgets a grant that no token has any more: it is held here and by the caller only.
    fn release(&mut self, grant: Arc<Grant>) {
        if Arc::strong_count(&grant) <= 2 {
            self.grants.remove(&grant);
        }
    }

    /// Bytes in use and reserved, without grants.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(Vec::capacity).sum();
        blocks * size_of::<Entry>() + self.slots.allocation_size()
    }

    #[cfg(test)]
    pub(crate) fn grants(&self) -> usize {
        self.grants.len()
    }
}

fn at(blocks: &[Vec<Entry>], slot: u32) -> &Entry {
    &blocks[slot as usize / BLOCK][slot as usize % BLOCK]
}

#[cfg(test)]
mod tests;
