//! Where a device's records lie: a pure function of tenant, spread, partitions and device.
//!
//! Part of the public interface (others may produce to the topics), so the crate's README has it too,
//! with a few lines of Python that made the golden vectors in `placement_vectors.json`:
//!
//! 1. sort the partitions by `xxh3_64(tenant + "/" + decimal(partition))`, ties by number;
//! 2. the first `spread` of them are the tenant's slots;
//! 3. the device lies in slot `xxh3_64(device) mod spread`.
//!
//! A state partition `i` is derived from events partition `i`, so one placement serves both topics.

use xxhash_rust::xxh3::xxh3_64;

use crate::Partition;

/// The placement of one tenant's devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    slots: Box<[Partition]>,
}

impl Placement {
    /// The placement of `tenant` in topics of `partitions` partitions. `spread` is held between 1
    /// and `partitions`, which must not be 0.
    #[must_use]
    pub fn new(tenant: &str, spread: u32, partitions: u32) -> Self {
        let mut ranked: Vec<(u64, Partition)> = (0..partitions)
            .map(|partition| (xxh3_64(format!("{tenant}/{partition}").as_bytes()), partition))
            .collect();
        ranked.sort_unstable();
        ranked.truncate(spread.clamp(1, partitions.max(1)) as usize);
        Self {
            slots: ranked.into_iter().map(|(_, partition)| partition).collect(),
        }
    }

    /// The partition of `device`.
    #[must_use]
    pub fn of(&self, device: &str) -> Partition {
        let slot = xxh3_64(device.as_bytes()) % self.slots.len() as u64;
        self.slots[usize::try_from(slot).unwrap_or(0)]
    }

    /// Every partition that a device of the tenant can lie in, in slot order.
    #[must_use]
    pub fn partitions(&self) -> &[Partition] {
        &self.slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_distinct_and_within_the_topic() {
        for tenant in ["acme", "a", "tenant-with.long_name", "0"] {
            let placement = Placement::new(tenant, 8, 16);
            let mut slots = placement.partitions().to_vec();
            slots.sort_unstable();
            slots.dedup();
            assert_eq!(slots.len(), 8);
            assert!(slots.iter().all(|slot| *slot < 16));
        }
    }

    #[test]
    fn a_spread_beyond_the_partitions_uses_all_of_them() {
        assert_eq!(Placement::new("acme", 64, 4).partitions().len(), 4);
        assert_eq!(Placement::new("acme", 0, 4).partitions().len(), 1);
    }

    #[derive(serde::Deserialize)]
    struct Vector {
        tenant: String,
        device: String,
        spread: u32,
        partitions: u32,
        partition: Partition,
    }

    #[test]
    fn the_golden_vectors_hold() {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../placement_vectors.json")).unwrap();
        assert!(vectors.len() >= 100);
        for vector in vectors {
            let placement = Placement::new(&vector.tenant, vector.spread, vector.partitions);
            assert_eq!(
                placement.of(&vector.device),
                vector.partition,
                "{} {}",
                vector.tenant,
                vector.device
            );
        }
    }
}
