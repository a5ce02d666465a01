//! A timer wheel: many deadlines, set often, mostly moved before they come. Pure.
//!
//! An entry fires at its tick or, when it lies beyond the wheel's horizon, early: whoever set it looks
//! at the real deadline and sets it again.

/// Milliseconds of one tick.
const TICK_MS: u64 = 32;
/// Ticks of the wheel: deadlines further ahead than 32 s fire early.
const TICKS: u64 = 1024;

/// Deadlines of `T`.
pub(crate) struct Wheel<T> {
    slots: Box<[Vec<T>]>,
    /// The next tick that has not fired.
    tick: u64,
    entries: usize,
}

impl<T> Wheel<T> {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self {
            slots: (0..TICKS).map(|_| Vec::new()).collect(),
            tick: now_ms / TICK_MS,
            entries: 0,
        }
    }

    /// Sets an entry; answers when it will fire at the latest.
    pub(crate) fn set(&mut self, at_ms: u64, entry: T) -> u64 {
        // An entry of the current tick would fire a whole turn late.
        let tick = (at_ms / TICK_MS + 1).clamp(self.tick, self.tick + TICKS - 1);
        self.slots[slot(tick)].push(entry);
        self.entries += 1;
        tick * TICK_MS
    }

    /// Takes the entries that are due.
    pub(crate) fn fire(&mut self, now_ms: u64, due: &mut Vec<T>) {
        let now = now_ms / TICK_MS;
        let mut turns = 0;
        while self.tick <= now && turns < TICKS {
            let entries = &mut self.slots[slot(self.tick)];
            self.entries -= entries.len();
            due.append(entries);
            if entries.capacity() > 64 {
                *entries = Vec::new();
            }
            self.tick += 1;
            turns += 1;
        }
        self.tick = self.tick.max(now + 1);
    }

    /// How long until something may be due; `None` when nothing is set.
    pub(crate) fn wait_ms(&self, now_ms: u64) -> Option<u64> {
        if self.entries == 0 {
            return None;
        }
        let due = (self.tick..self.tick + TICKS).find(|tick| !self.slots[slot(*tick)].is_empty())?;
        Some((due * TICK_MS).saturating_sub(now_ms))
    }
}

fn slot(tick: u64) -> usize {
    usize::try_from(tick % TICKS).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(wheel: &mut Wheel<u32>, now_ms: u64) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.fire(now_ms, &mut due);
        due
    }

    #[test]
    fn an_entry_fires_once_not_before_its_time_and_within_two_ticks() {
        let mut wheel = Wheel::new(1_000);
        wheel.set(1_500, 1);
        assert!(fired(&mut wheel, 1_499).is_empty());
        assert_eq!(fired(&mut wheel, 1_500 + 2 * TICK_MS), [1]);
        assert!(fired(&mut wheel, 100_000).is_empty());
    }

    #[test]
    fn an_entry_in_the_past_fires_at_the_next_tick() {
        let mut wheel = Wheel::new(1_000);
        wheel.set(0, 1);
        assert_eq!(fired(&mut wheel, 1_000 + TICK_MS), [1]);
    }

    #[test]
    fn an_entry_beyond_the_horizon_fires_early() {
        let mut wheel = Wheel::new(0);
        let at_ms = wheel.set(1_000_000, 1);
        assert!(at_ms < TICKS * TICK_MS);
        assert_eq!(fired(&mut wheel, at_ms), [1]);
    }

    #[test]
    fn a_long_pause_fires_everything() {
        let mut wheel = Wheel::new(0);
        for at in 0..100 {
            wheel.set(at * 300, 1);
        }
        assert_eq!(fired(&mut wheel, 10_000_000).len(), 100);
        wheel.set(10_000_100, 2);
        assert!(fired(&mut wheel, 10_000_099).is_empty());
        assert_eq!(fired(&mut wheel, 10_000_200), [2]);
    }

    #[test]
    fn the_wait_ends_with_the_next_entry() {
        let mut wheel = Wheel::new(0);
        assert_eq!(wheel.wait_ms(0), None);
        let at_ms = wheel.set(500, 1);
        assert_eq!(wheel.wait_ms(0), Some(at_ms));
        assert_eq!(wheel.wait_ms(at_ms + 5), Some(0));
    }
}
