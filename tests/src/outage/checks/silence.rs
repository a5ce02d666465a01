//! What the reactor says of silence, worked out from the log alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemas::Micros;
use schemas::event::Status;

use crate::outage::findings::Findings;
use crate::outage::process::{OFFLINE_AFTER, STALE_AFTER};
use crate::outage::truth::{Device, Logged, Reaction, Stated, Truth};

/// What a run must have shown.
const ACROSS: &str = "silences called OFFLINE by a projector that did not see them begin";

/// Whoever is called STALE or OFFLINE was silent for so long, and each silence is spoken of once. A verdict that
/// a sign of life overtook on its way into the log is void or, if the sign was received in time, contradicted; or
/// it is called STALE again, rightly, if it was silent for so long before anybody could contradict.
/// How late a verdict comes says nothing: a projector that was away, or behind, has to look for a while first.
///
/// Every projector was killed at `handed_over`, between the last events and the end of the silence after them: who
/// decides it did not see it begin.
pub fn silences(truth: &Truth, handed_over: Micros, findings: &Findings) {
    let mut handed = 0;
    for (device, logged) in &truth.events {
        let mut silence = Silence::default();
        for event in logged {
            if let Err(problem) = silence.take(event) {
                findings.violation(
                    "a verdict of silence is wrong",
                    format!("{device:?}: {problem}: {event:?}"),
                );
            }
        }
        if let Some(verdict) = silence.owed {
            let problem = format!("{device:?}: it lived, and nobody contradicts {verdict:?}");
            findings.violation("a verdict of silence is wrong", problem);
        }
        for verdict in &silence.void {
            if let Some(change) = change_of(truth, device, verdict) {
                let problem = format!("{device:?}: it lived, and {verdict:?} made {change:?}");
                findings.violation("a verdict of silence is wrong", problem);
            }
        }
        handed += logged.iter().filter(|event| crosses(event, handed_over)).count() as u64;
        findings.count("verdicts of silence that were void", silence.void.len() as u64);
        findings.count("verdicts of silence", silence.verdicts);
        findings.count("wrong verdicts that were contradicted", silence.contradicted);
        findings.count("wrong verdicts that the true one followed", silence.corrected);
        findings.count(
            "verdicts of silence overtaken by a sign of life",
            silence.overtaken,
        );
    }
    findings.count(ACROSS, handed);
    if handed == 0 {
        findings.violation("not shown", ACROSS.to_owned());
    }
}

/// Whether a silence that began before `handed_over` is called OFFLINE after it.
fn crosses(event: &Logged, handed_over: Micros) -> bool {
    let offline = Reaction::Presence {
        status: Some(Status::Offline),
        of_silence: true,
    };
    let since = event.occurred_at - micros(OFFLINE_AFTER);
    event.reaction == Some(offline) && since < handed_over && handed_over < event.received_at
}

/// What an event did to the state of its device, if anything.
fn change_of<'a>(truth: &'a Truth, device: &Device, event: &Logged) -> Option<&'a Stated> {
    let mut changes = truth.states.get(device).into_iter().flatten();
    changes.find(|change| change.source == event.offset)
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

/// One device, from the beginning of its log on.
#[derive(Default)]
struct Silence<'a> {
    /// Ids since it was made: the same again is a retry, and tells nothing.
    known: BTreeSet<&'a str>,
    /// When signs of life were received.
    heard: BTreeSet<Micros>,
    /// When the device at hand, since it was made, was heard last.
    seen: Option<Micros>,
    /// What the silence at hand was called, by which event.
    told: BTreeMap<Status, &'a str>,
    /// A verdict on a device that was heard in time.
    owed: Option<&'a Logged>,
    /// Verdicts on a device that was heard since: the fold passes over them.
    void: Vec<&'a Logged>,
    verdicts: u64,
    overtaken: u64,
    contradicted: u64,
    corrected: u64,
}

impl<'a> Silence<'a> {
    fn take(&mut self, event: &'a Logged) -> Result<(), String> {
        if !self.known.insert(&event.id) {
            return Ok(());
        }
        if event.kind == "deleted" {
            self.known.clear();
            self.seen = None;
            self.told.clear();
            self.owed = None;
            return Ok(());
        }
        if event.is_life {
            self.heard.insert(event.received_at);
            self.seen = self.seen.max(Some(event.received_at));
            self.told.clear();
        }
        let Some(Reaction::Presence { status, of_silence }) = event.reaction else {
            return Ok(());
        };
        match (status, of_silence) {
            (Some(Status::Online), false) => {
                self.contradicted += u64::from(self.owed.take().is_some());
                Ok(())
            }
            (Some(Status::Stale), true) => self.verdict(event, Status::Stale, STALE_AFTER),
            (Some(Status::Offline), true) => self.verdict(event, Status::Offline, OFFLINE_AFTER),
            said => Err(format!("nobody says {said:?}")),
        }
    }

    /// The time that a verdict speaks of ended at `occurred_at`; it was given at `received_at`.
    fn verdict(&mut self, event: &'a Logged, status: Status, after: Duration) -> Result<(), String> {
        self.verdicts += 1;
        let since = event.occurred_at - micros(after);
        let Some(seen) = self.heard.last().filter(|_| self.heard.contains(&since)) else {
            return Err(format!("there was no sign of life at {since}"));
        };
        if event.received_at < event.occurred_at {
            return Err("it was given before its time".to_owned());
        }
        if *seen > event.occurred_at {
            self.overtaken += 1;
            if self.seen.is_some_and(|seen| seen > event.occurred_at) {
                self.void.push(event);
            }
            return Ok(());
        }
        if *seen > since {
            self.overtaken += 1;
            self.owed = Some(event);
            return Ok(());
        }
        match self.owed.take() {
            Some(verdict) if status == Status::Offline => {
                return Err(format!("the word before it was wrong, and stood: {verdict:?}"));
            }
            Some(_) => self.corrected += 1,
            None => {}
        }
        match self.told.insert(status, &event.id) {
            None => Ok(()),
            Some(before) => Err(format!("this silence was called so by {before}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn logged(id: &str, received_at: Micros, reaction: Option<(Status, Micros)>) -> Logged {
        let online = reaction.is_some_and(|(status, _)| status == Status::Online);
        Logged {
            partition: 0,
            offset: 0,
            id: id.to_owned(),
            kind: if reaction.is_some() {
                "presence"
            } else {
                "telemetry"
            },
            mark: 0,
            occurred_at: reaction.map_or(received_at, |(_, since)| since),
            received_at,
            is_life: reaction.is_none() || online,
            reaction: reaction.map(|(status, _)| Reaction::Presence {
                status: Some(status),
                of_silence: !online,
            }),
        }
    }

    fn sign(id: &str, second: Micros) -> Logged {
        logged(id, second * SECOND, None)
    }

    fn said(id: &str, second: Micros, status: Status, since: Micros) -> Logged {
        logged(id, second * SECOND, Some((status, since * SECOND)))
    }

    /// Whether a log of one device is in order.
    fn holds(log: &[Logged]) -> bool {
        let mut silence = Silence::default();
        log.iter().all(|event| silence.take(event).is_ok()) && silence.owed.is_none()
    }

    #[test]
    fn a_silence_is_called_stale_and_then_offline() {
        assert!(holds(&[
            sign("a", 100),
            said("s", 104, Status::Stale, 104),
            said("o", 109, Status::Offline, 108),
        ]));
    }

    #[test]
    fn a_verdict_before_its_time_is_wrong() {
        assert!(!holds(&[sign("a", 100), said("s", 103, Status::Stale, 104)]));
        assert!(!holds(&[sign("a", 100), said("s", 103, Status::Stale, 103)]));
    }

    #[test]
    fn a_silence_is_spoken_of_once() {
        let stale = said("s", 104, Status::Stale, 104);
        assert!(holds(&[sign("a", 100), stale.clone(), stale.clone()]));
        assert!(!holds(&[
            sign("a", 100),
            stale,
            said("t", 105, Status::Stale, 104)
        ]));
    }

    #[test]
    fn a_verdict_on_the_living_is_contradicted() {
        let log = [
            sign("a", 100),
            sign("b", 103),
            said("s", 104, Status::Stale, 104),
            said("n", 105, Status::Online, 105),
        ];
        assert!(holds(&log));
        assert!(!holds(&log[..3]));
    }

    #[test]
    fn a_wrong_verdict_may_be_followed_by_the_true_one() {
        let log = [
            sign("a", 100),
            sign("b", 103),
            said("s", 104, Status::Stale, 104),
            said("t", 107, Status::Stale, 107),
            said("u", 108, Status::Stale, 107),
        ];
        assert!(holds(&log[..4]));
        assert!(!holds(&log));
    }

    #[test]
    fn a_wrong_verdict_does_not_stand_until_the_device_is_offline() {
        assert!(!holds(&[
            sign("a", 100),
            sign("b", 103),
            said("s", 104, Status::Stale, 104),
            said("o", 111, Status::Offline, 111),
        ]));
    }

    #[test]
    fn a_verdict_that_a_later_sign_overtook_is_void() {
        assert!(holds(&[
            sign("a", 100),
            sign("b", 105),
            said("s", 106, Status::Stale, 104)
        ]));
    }

    /// What is found in a log of one device whose verdict `changes` its state.
    fn found(log: &[Logged], handed_over: Micros, changes: bool) -> Findings {
        let device = ("fleet".to_owned(), "bus-1".to_owned());
        let mut truth = Truth::default();
        for (offset, event) in (0..).zip(log) {
            let event = Logged {
                offset,
                ..event.clone()
            };
            if changes && event.reaction.is_some() {
                truth.states.entry(device.clone()).or_default().push(Stated {
                    offset: 0,
                    source: offset,
                    document: None,
                });
            }
            truth.events.entry(device.clone()).or_default().push(event);
        }
        let findings = Findings::default();
        silences(&truth, handed_over * SECOND, &findings);
        findings
    }

    #[test]
    fn a_void_verdict_changes_nothing() {
        let log = [
            sign("a", 90),
            said("o", 99, Status::Offline, 98),
            sign("b", 100),
            sign("c", 105),
            said("s", 106, Status::Stale, 104),
        ];
        assert!(found(&log, 95, false).none());
        assert!(!found(&log, 95, true).none());
    }

    #[test]
    fn a_silence_that_no_hand_over_falls_into_shows_nothing() {
        let log = [sign("a", 90), said("o", 99, Status::Offline, 98)];
        assert!(found(&log, 95, true).none());
        assert!(!found(&log, 89, true).none());
        assert!(!found(&log, 100, true).none());
    }
}
