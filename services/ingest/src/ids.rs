//! Ids of events whose senders gave none: UUIDv7, in order within a batch.

use schemas::Micros;

/// Makes the ids of one batch from one seed.
pub(crate) struct Ids {
    millis: u64,
    fixed: [u8; 2],
    counter: u64,
}

impl Ids {
    /// Ids made at `now`. The seed must be random: 74 bits of it stand in each id.
    pub(crate) fn new(seed: [u8; 10], now: Micros) -> Self {
        let [a, b, rest @ ..] = seed;
        Self {
            millis: u64::try_from(now.div_euclid(1_000)).unwrap_or(0),
            fixed: [a, b],
            counter: u64::from_be_bytes(rest),
        }
    }

    pub(crate) fn next(&mut self) -> Box<str> {
        let mut random = [0; 10];
        random[..2].copy_from_slice(&self.fixed);
        random[2..].copy_from_slice(&self.counter.to_be_bytes());
        // Two bits of the counter's first byte give way to the variant, so only the others count.
        self.counter = self.counter.wrapping_add(1);
        let id = uuid::Builder::from_unix_timestamp_millis(self.millis, &random).into_uuid();
        id.as_hyphenated()
            .encode_lower(&mut uuid::Uuid::encode_buffer())
            .to_owned()
            .into_boxed_str()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_uuid_7_of_their_time_and_all_different() {
        let mut ids = Ids::new([0xFF; 10], 1_800_000_000_123_456);
        let made: Vec<Box<str>> = (0..10_000).map(|_| ids.next()).collect();
        assert_eq!(made.iter().collect::<BTreeSet<_>>().len(), made.len());
        for id in made {
            let id: uuid::Uuid = id.parse().unwrap();
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(id.get_timestamp().unwrap().to_unix().0, 1_800_000_000);
        }
    }
}
