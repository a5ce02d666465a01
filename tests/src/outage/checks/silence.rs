//! What the reactor says of silence, worked out from the log alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemas::Micros;
use schemas::event::Status;

use crate::outage::findings::Findings;
use crate::outage::process::{OFFLINE_AFTER, STALE_AFTER};
use crate::outage::truth::{Logged, Reaction, Truth};

/// Whoever is called STALE or OFFLINE was silent for so long, and each silence is spoken of once. A verdict that
/// a sign of life overtook on its way into the log is void or, if the sign was received in time, contradicted.
/// How late a verdict comes says nothing: a projector that was away, or behind, has to look for a while first.
pub fn silences(truth: &Truth, findings: &Findings) {
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
        findings.count("verdicts of silence", silence.verdicts);
        findings.count(
            "verdicts of silence overtaken by a sign of life",
            silence.overtaken,
        );
    }
}

/// One device, from the beginning of its log on.
#[derive(Default)]
struct Silence<'a> {
    /// Ids since it was made: the same again is a retry, and tells nothing.
    known: BTreeSet<&'a str>,
    /// When signs of life were received.
    heard: BTreeSet<Micros>,
    /// What the silence at hand was called, by which event.
    told: BTreeMap<Status, &'a str>,
    /// A verdict on a device that was heard in time.
    owed: Option<&'a Logged>,
    verdicts: u64,
    overtaken: u64,
}

impl<'a> Silence<'a> {
    fn take(&mut self, event: &'a Logged) -> Result<(), String> {
        if !self.known.insert(&event.id) {
            return Ok(());
        }
        if event.kind == "deleted" {
            self.known.clear();
            self.told.clear();
            self.owed = None;
            return Ok(());
        }
        if event.is_life {
            self.heard.insert(event.received_at);
            self.told.clear();
        }
        let Some(Reaction::Presence { status, of_silence }) = event.reaction else {
            return Ok(());
        };
        match (status, of_silence) {
            (Some(Status::Online), false) => {
                self.owed = None;
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
        let after = Micros::try_from(after.as_micros()).unwrap_or(Micros::MAX);
        let since = event.occurred_at - after;
        let Some(seen) = self.heard.last().filter(|_| self.heard.contains(&since)) else {
            return Err(format!("there was no sign of life at {since}"));
        };
        if event.received_at < event.occurred_at {
            return Err("it was given before its time".to_owned());
        }
        if *seen > event.occurred_at {
            self.overtaken += 1;
            return Ok(());
        }
        if let Some(before) = self.told.insert(status, &event.id) {
            return Err(format!("this silence was called so by {before}"));
        }
        if *seen > since {
            self.overtaken += 1;
            self.owed = Some(event);
            return Ok(());
        }
        self.owed.take().map_or(Ok(()), |verdict| {
            Err(format!("the word before it was wrong, and stood: {verdict:?}"))
        })
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
    fn a_verdict_that_a_later_sign_overtook_is_void() {
        assert!(holds(&[
            sign("a", 100),
            sign("b", 105),
            said("s", 106, Status::Stale, 104)
        ]));
    }
}
