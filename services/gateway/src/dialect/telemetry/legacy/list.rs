//! A list that is pushed as a whole: the alerts, or the fleet. It is read from tables, which follow the log:
//! so after an event they are looked at soon, and once more when they have had time. Pure.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use journal::Micros;

use crate::dialect::{Action, Moment};

/// The first look after an event.
const SOON_US: Micros = 200_000;
/// The tables have followed an event by then, as a rule.
const SETTLED_US: Micros = 1_000_000;
/// Where they have not, the time to the next look doubles until it would pass this.
const LAST_US: Micros = 4_000_000;

/// One client's subscription to it.
#[derive(Default)]
pub(super) struct List {
    is_subscribed: bool,
    /// To be asked for, and pushed whatever it says.
    is_due: bool,
    /// When to look first.
    soon: Option<Micros>,
    /// When to look once the tables have settled.
    settled: Option<Look>,
    /// Something happened since `settled` was set: it may be too early for that.
    stirred: bool,
    /// The look that is under way was the last; if it finds nothing new, there is another.
    last: Option<Micros>,
    shown: Option<u64>,
}

#[derive(Clone, Copy)]
struct Look {
    at: Micros,
    /// After so long a wait.
    wait: Micros,
}

impl Look {
    const fn after(wait: Micros, now: Micros) -> Self {
        Self { at: now + wait, wait }
    }
}

impl List {
    pub(super) fn subscribe(&mut self, yes: bool) {
        *self = Self {
            is_subscribed: yes,
            is_due: yes,
            ..Self::default()
        };
    }

    pub(super) const fn is_subscribed(&self) -> bool {
        self.is_subscribed
    }

    /// It is pushed again.
    pub(super) fn repeat(&mut self) {
        self.is_due = self.is_subscribed;
    }

    /// Whether to ask for it now.
    pub(super) fn wants(&self, now: Micros) -> bool {
        self.is_subscribed && (self.is_due || self.next_look().is_some_and(|at| at <= now))
    }

    /// When to ask for it next, as far as that is known.
    pub(super) fn next_look(&self) -> Option<Micros> {
        let settled = self.settled.map(|look| look.at);
        self.soon.into_iter().chain(settled).min()
    }

    /// It could not be read.
    pub(super) fn put_off(&mut self, now: Micros) {
        if std::mem::take(&mut self.is_due) {
            self.shown = None;
        }
        self.stir(now);
    }

    /// Something happened that may have changed it.
    pub(super) fn stir(&mut self, now: Micros) {
        if !self.is_subscribed {
            return;
        }
        // One that is due within a second stays: a list that changes all the time is looked at every second.
        match self.settled {
            Some(look) if look.wait == SETTLED_US => self.stirred = true,
            Some(_) | None => {
                self.soon = Some(now + SOON_US);
                self.settled = Some(Look::after(SETTLED_US, now));
                self.stirred = false;
            }
        }
    }

    /// It is being asked for.
    pub(super) fn begin(&mut self, now: Micros) {
        self.last = None;
        self.soon = self.soon.filter(|at| *at > now);
        let Some(look) = self.settled.filter(|look| look.at <= now) else {
            return;
        };
        self.settled = None;
        if std::mem::take(&mut self.stirred) {
            self.settled = Some(Look::after(SETTLED_US, now));
        } else {
            self.last = Some(look.wait);
        }
    }

    /// What it is, as an object; what to push, if anything.
    pub(super) fn take(&mut self, text: String, at: &Moment<'_>) -> Option<Action> {
        let (is_pushed, cursor) = (self.is_pushed(&text, at.now), at.cursor);
        is_pushed.then(|| Action::send(with_cursor(text, cursor)))
    }

    fn is_pushed(&mut self, text: &str, now: Micros) -> bool {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish();
        let is_new = self.shown.replace(hash) != Some(hash);
        let is_due = std::mem::take(&mut self.is_due);
        if let Some(wait) = self.last.take().filter(|_| !is_new)
            && self.settled.is_none()
            && 2 * wait <= LAST_US
        {
            self.settled = Some(Look::after(2 * wait, now));
        }
        self.is_subscribed && (is_new || is_due)
    }
}

fn with_cursor(mut object: String, cursor: Option<&str>) -> String {
    if let Some(cursor) = cursor {
        object.truncate(object.len() - 1);
        object.push_str(&format!(",\"cursor\":\"{cursor}\"}}"));
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Micros = 1_000;

    /// When the list is asked for, if things happen at these times (ms) and an answer takes so long.
    fn asked(happens: &[Micros], takes: Micros) -> Vec<Micros> {
        let mut list = List::default();
        list.subscribe(true);
        list.begin(0);
        assert!(list.is_pushed("same", 0));
        let (mut asked, mut under_way) = (Vec::new(), None);
        for now in 0..30_000 {
            if happens.contains(&now) {
                list.stir(now * MS);
            }
            if under_way.is_some_and(|since| since + takes <= now) {
                under_way = None;
                assert!(!list.is_pushed("same", now * MS));
            }
            if under_way.is_none() && list.wants(now * MS) {
                list.begin(now * MS);
                asked.push(now);
                under_way = Some(now);
            }
        }
        asked
    }

    #[test]
    fn whatever_happens_is_looked_at_when_the_tables_have_had_time() {
        for takes in [1, 300, 900] {
            for second in (1..4_000).step_by(50) {
                let asked = asked(&[0, second], takes);
                for happened in [0, second] {
                    let in_time = happened + 1_000..=happened + 2_000 + 2 * takes;
                    assert!(
                        asked.iter().any(|at| in_time.contains(at)),
                        "{happened} of {second} with {takes}: {asked:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn tables_that_are_late_are_looked_at_again_and_then_left() {
        assert_eq!(asked(&[0], 1), [200, 1_000, 3_001, 7_002]);
    }

    #[test]
    fn a_list_that_changes_all_the_time_is_looked_at_every_second() {
        let always: Vec<Micros> = (0..10_000).step_by(10).collect();
        let asked = asked(&always, 1);
        let within = asked.iter().filter(|at| **at < 10_000).count();
        assert!((10..=12).contains(&within), "{asked:?}");
    }

    #[test]
    fn a_cursor_is_one_more_member() {
        let object = || "{\"type\":\"alerts\",\"alerts\":[]}".to_owned();
        assert_eq!(with_cursor(object(), None), object());
        let text = with_cursor(object(), Some("c"));
        let expected = serde_json::json!({"type": "alerts", "alerts": [], "cursor": "c"});
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            expected
        );
    }

    #[test]
    fn what_was_found_is_not_looked_for_again() {
        let mut list = List::default();
        list.subscribe(true);
        list.begin(0);
        assert!(list.is_pushed("one", 0));
        list.stir(0);
        list.begin(200 * MS);
        assert!(!list.is_pushed("one", 200 * MS));
        list.begin(1_000 * MS);
        assert!(list.is_pushed("two", 1_000 * MS));
        assert_eq!(list.next_look(), None);
    }
}
