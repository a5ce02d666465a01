//! Close reading: every message of a sampled connection is the next of its device, and some are
//! compared member by member. Pure.

use serde_json::Value;

use super::wire::{self, Carrier};
use crate::events::{FIRST, Glance, Series};

/// Every so many messages, one is compared in full.
const WHOLE_EVERY: u64 = 32;

/// What one connection may get next.
pub(super) struct Check {
    first_device: usize,
    /// Next number by device.
    next: Vec<u64>,
    seen: u64,
}

impl Check {
    /// Of a connection that sees `device`, or all of `series`.
    pub(super) fn new(series: &Series, device: Option<usize>) -> Self {
        let devices = if device.is_some() { 1 } else { series.devices };
        Self {
            first_device: device.unwrap_or(series.first_device),
            next: vec![FIRST; devices],
            seen: 0,
        }
    }

    /// Checks an event.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn event(&mut self, series: &Series, carrier: Carrier, content: &[u8]) -> Result<(), String> {
        let glance = Glance::of(content).ok_or("it is no message of this run")?;
        let slot = glance.device.checked_sub(self.first_device);
        let next = slot.and_then(|slot| self.next.get_mut(slot));
        let Some(next) = next else {
            return Err(format!("device {} was not asked for", glance.device));
        };
        if glance.number != *next {
            return Err(format!("device {} should come to number {next}", glance.device));
        }
        *next += 1;
        let is_due = self.seen.is_multiple_of(WHOLE_EVERY);
        self.seen += 1;
        if is_due {
            let json = wire::event_json(carrier, content).ok_or("it holds no event")?;
            let event: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
            if !series.holds(&event) {
                return Err("its content is another".to_owned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(series: &Series, index: u64) -> Vec<u8> {
        let mut line = Vec::new();
        series.write(index, 1_763_000_000_000_000, &mut line);
        let text = String::from_utf8(line).unwrap();
        let members = text.trim().strip_prefix('{').unwrap();
        format!("{{\"id\":\"x\",\"received_at\":\"y\",{members}\n\n").into_bytes()
    }

    #[test]
    fn a_repeated_or_missing_message_is_wrong() {
        let series = Series::new(0, 2, 200);
        let mut check = Check::new(&series, None);
        for index in 0..100 {
            assert_eq!(
                check.event(&series, Carrier::Sse, &content(&series, index)),
                Ok(())
            );
        }
        assert!(check.event(&series, Carrier::Sse, &content(&series, 99)).is_err());
        assert!(
            check
                .event(&series, Carrier::Sse, &content(&series, 102))
                .is_err()
        );
    }

    #[test]
    fn another_device_is_wrong_on_a_connection_of_one() {
        let series = Series::new(0, 2, 200);
        let mut check = Check::new(&series, Some(1));
        assert!(check.event(&series, Carrier::Sse, &content(&series, 0)).is_err());
        assert_eq!(check.event(&series, Carrier::Sse, &content(&series, 1)), Ok(()));
    }

    #[test]
    fn other_content_is_wrong() {
        let (series, other) = (Series::new(0, 1, 200), Series::new(0, 1, 201));
        assert!(
            Check::new(&series, None)
                .event(&series, Carrier::Sse, &content(&other, 0))
                .is_err()
        );
    }
}
