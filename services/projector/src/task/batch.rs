//! How many records the next batch may have.

use crate::settings::Settings;

/// Follows what records weighed lately, so that a batch keeps to its bytes.
pub(super) struct BatchSize {
    records_max: usize,
    bytes_max: usize,
    /// Moving average of the bytes that one event brings, its state record included.
    average_bytes: usize,
}

/// What an event is taken to weigh before any was seen.
const FIRST_AVERAGE_BYTES: usize = 4_096;
/// One batch moves the average by one part in so many.
const WEIGHT: usize = 4;

impl BatchSize {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            records_max: settings.batch_records_max.max(1),
            bytes_max: settings.batch_bytes_max,
            average_bytes: FIRST_AVERAGE_BYTES,
        }
    }

    pub(super) fn records(&self) -> usize {
        (self.bytes_max / self.average_bytes.max(1)).clamp(1, self.records_max)
    }

    pub(super) fn observe(&mut self, records: usize, bytes: usize) {
        let average = bytes / records.max(1);
        self.average_bytes = (self.average_bytes * (WEIGHT - 1) + average) / WEIGHT;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heavy_events_make_small_batches_and_light_ones_large() {
        let settings = Settings {
            batch_records_max: 1_000,
            batch_bytes_max: 1 << 20,
            ..Settings::default()
        };
        let mut size = BatchSize::new(&settings);
        for _ in 0..40 {
            size.observe(10, 10 << 18);
        }
        assert!(size.records() <= 4, "{}", size.records());
        for _ in 0..80 {
            size.observe(100, 100 * 200);
        }
        assert_eq!(size.records(), 1_000);
    }
}
