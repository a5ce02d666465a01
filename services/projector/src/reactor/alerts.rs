//! Alerts of rules, and `NO_HEARTBEAT`: which an event opens and which it ends.
//!
//! What an event brings follows from the device before and after it, from the event's offset and from the
//! rules, and from nothing that a process remembers: whoever folds the event, after whatever crash, comes to
//! the same alerts with the same ids. An alert is known as a rule's by its id, `<rule>~<UUID>`, so that the
//! document alone says which rules have one open. It ends when its event is read back and its rule does not
//! hold any more, or by a later change; where two of one rule stand, the older ends. So that what stands
//! already never keeps one from opening: it may be about to end.
//!
//! What a process does remember are steps that it has appended and not read back, so as not to repeat them
//! with each event meanwhile. To forget those does no harm: a step is folded once, by its id.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use journal::Offset;
use query::Memo;
use rustc_hash::{FxHashMap, FxHashSet};
use schemas::document::DeviceAlert;
use schemas::event::{Alert, AlertStatus, PresenceReason, Status};
use schemas::{Body, Document, Event, Micros};
use state::{DeviceKey, Filterable};
use uuid::Uuid;

use super::reaction::{REACTIONS, Reaction, Rule, StepReaction};
use crate::rulebook::{AlertRule, Rulebook};
use crate::settings::{Settings, micros};
use crate::source::SourceEvent;

/// The built-in alert of a device that fell silent, and the name of its rule.
const NO_HEARTBEAT: &str = "NO_HEARTBEAT";
/// Stands in an alert's id after the name of its rule, which cannot hold it.
const MARK: char = '~';

/// `NO_HEARTBEAT` alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Severity; `None` turns them off.
    pub severity: Option<i64>,
    /// Silent for so long, for the summary; microseconds.
    pub silent_for: Micros,
}

impl Heartbeat {
    /// What `settings` say.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self {
            severity: settings
                .no_heartbeat
                .then(|| settings.no_heartbeat_severity.into()),
            silent_for: micros(settings.stale_after),
        }
    }
}

/// An event that changed its device.
pub(crate) struct Changed<'a> {
    pub(crate) event: &'a SourceEvent,
    pub(crate) before: Option<&'a Document>,
    pub(crate) after: &'a Document,
}

/// Steps that were appended and not read back yet.
pub(super) struct Alerts {
    generation: u32,
    heartbeat: Heartbeat,
    opening: FxHashMap<(Arc<DeviceKey>, Box<str>), Box<str>>,
    /// Alerts that end.
    ending: FxHashSet<(Arc<DeviceKey>, Box<str>)>,
}

impl Alerts {
    pub(super) fn new(generation: u32, heartbeat: Heartbeat) -> Self {
        Self {
            generation,
            heartbeat,
            opening: FxHashMap::default(),
            ending: FxHashSet::default(),
        }
    }

    /// A step of an alert came back, or never will.
    pub(super) fn read_back(&mut self, key: &Arc<DeviceKey>, alert: &Alert) {
        let Some(rule) = rule_of(&alert.alert_id) else {
            return;
        };
        match alert.status {
            AlertStatus::Open => {
                let place = (Arc::clone(key), rule.into());
                if self.opening.get(&place).is_some_and(|id| *id == alert.alert_id) {
                    self.opening.remove(&place);
                }
            }
            AlertStatus::Acknowledged => {}
            AlertStatus::Closed => {
                self.ending.remove(&(Arc::clone(key), alert.alert_id.clone()));
            }
        }
    }

    /// What a change brings at wall time `now`.
    pub(super) fn judge(&mut self, book: &Rulebook, changed: &Changed<'_>, now: Micros) -> Vec<Reaction> {
        let mut steps = Vec::new();
        let SourceEvent {
            key, offset, event, ..
        } = changed.event;
        let after = changed.after;
        let rules = book.of(&key.tenant);
        if rules.is_some() || !after.alerts.is_empty() {
            let (was, is) = (changed.before.map(Filterable::new), Filterable::new(after));
            // Rules are many, and much the same fields interest them.
            let (was, is) = (was.as_ref().map(Memo::new), Memo::new(&is));
            let is_own_step = matches!(event.body, Body::Alert(_));
            self.end_some(book, key, after, now, &mut steps, |rule| {
                rule.ends(was.as_ref(), &is, is_own_step)
            });
            // A step of an alert moves nothing that a rule could speak of.
            let rules = rules
                .into_iter()
                .flat_map(BTreeMap::values)
                .filter(|_| !is_own_step);
            for rule in rules {
                if rule.opens(was.as_ref(), &is) {
                    let cause = Cause::Event(*offset);
                    steps.push(self.open(key, after, &Opening::of(rule), cause, event.received_at, now));
                }
            }
        }
        if fell_silent(changed) {
            let summary = silence(self.heartbeat.silent_for);
            let opening = self.heartbeat.severity.map(|severity| Opening {
                rule: NO_HEARTBEAT,
                alert_type: NO_HEARTBEAT,
                severity,
                summary: &summary,
            });
            let cause = Cause::Event(*offset);
            steps.extend(
                opening.map(|opening| self.open(key, after, &opening, cause, event.received_at, now)),
            );
        }
        for step in &mut steps {
            step.traceparent.clone_from(&changed.event.traceparent);
        }
        steps.into_iter().map(Reaction::Step).collect()
    }

    /// Holds a device as it is against the rules put at or after `since`: it may satisfy one already, or
    /// have an alert of one that is gone.
    pub(super) fn hold_against(
        &mut self,
        book: &Rulebook,
        key: &Arc<DeviceKey>,
        document: &Document,
        since: Offset,
        now: Micros,
    ) -> Vec<Reaction> {
        let mut steps = Vec::new();
        let device = Filterable::new(document);
        self.end_some(book, key, document, now, &mut steps, |rule| {
            rule.ends(Some(&device), &device, true)
        });
        let rules = book.of(&key.tenant).into_iter().flatten();
        for (id, rule) in rules.filter(|(_, rule)| rule.offset >= since) {
            let opens = self.opening.contains_key(&(Arc::clone(key), id.clone()));
            if !opens && !stands(document, id) && rule.holds(&device) {
                let cause = Cause::Rule(rule.offset);
                steps.push(self.open(key, document, &Opening::of(rule), cause, now, now));
            }
        }
        steps.into_iter().map(Reaction::Step).collect()
    }

    /// Ends the alerts whose rule is gone or `ends`, those of which a later one of the rule stands, and
    /// `NO_HEARTBEAT` of who is heard.
    fn end_some(
        &mut self,
        book: &Rulebook,
        key: &Arc<DeviceKey>,
        document: &Document,
        now: Micros,
        steps: &mut Vec<StepReaction>,
        ends: impl Fn(&AlertRule) -> bool,
    ) {
        let rules = book.of(&key.tenant);
        for (index, alert) in document.alerts.iter().enumerate() {
            let Some(rule) = rule_of(&alert.alert_id) else {
                continue;
            };
            let mut later = document.alerts.iter().skip(index + 1);
            let is_over = if later.any(|other| rule_of(&other.alert_id) == Some(rule)) {
                true
            } else if rule == NO_HEARTBEAT {
                document.status == Some(Status::Online)
            } else {
                rules
                    .and_then(|rules| rules.get(rule))
                    .is_none_or(|rule| ends(rule))
            };
            if is_over && self.ending.insert((Arc::clone(key), alert.alert_id.clone())) {
                steps.push(end(key, alert, now));
            }
        }
    }

    fn open(
        &mut self,
        key: &Arc<DeviceKey>,
        document: &Document,
        opening: &Opening<'_>,
        cause: Cause,
        occurred_at: Micros,
        now: Micros,
    ) -> StepReaction {
        let alert_id = alert_id(key, opening.rule, self.generation, cause);
        let place = (Arc::clone(key), opening.rule.into());
        self.opening.insert(place, alert_id.clone());
        let alert = Alert {
            alert_id,
            alert_type: opening.alert_type.into(),
            severity: opening.severity,
            confidence: None,
            summary: opening.summary.into(),
            status: AlertStatus::Open,
            site_id: document.site_id.clone(),
        };
        step(key, Rule::AlertOpened, alert, occurred_at, now)
    }
}

/// What an alert says of its rule.
struct Opening<'a> {
    rule: &'a str,
    alert_type: &'a str,
    severity: i64,
    summary: &'a str,
}

impl<'a> Opening<'a> {
    fn of(rule: &'a AlertRule) -> Self {
        let rule = &rule.rule;
        Self {
            rule: &rule.id,
            alert_type: &rule.alert_type,
            severity: rule.severity,
            summary: &rule.summary,
        }
    }
}

/// Why an alert opens.
#[derive(Clone, Copy)]
enum Cause {
    /// The event at this offset of the device's partition.
    Event(Offset),
    /// The rule was put, by the record at this offset of `wakeline.control`.
    Rule(Offset),
}

fn alert_id(key: &DeviceKey, rule: &str, generation: u32, cause: Cause) -> Box<str> {
    let cause = match cause {
        Cause::Event(offset) => format!("event/{offset}"),
        Cause::Rule(offset) => format!("rule/{offset}"),
    };
    // Neither rule nor tenant hold a slash; the device comes last, whatever it holds.
    let name = format!("alert/{generation}/{cause}/{rule}/{}/{}", key.tenant, key.device);
    format!("{rule}{MARK}{}", Uuid::new_v5(&REACTIONS, name.as_bytes())).into()
}

/// The rule that an alert is of; `None` of one that somebody else opened.
fn rule_of(alert_id: &str) -> Option<&str> {
    let (rule, id) = alert_id.rsplit_once(MARK)?;
    let id = Uuid::try_parse(id).ok()?;
    (id.get_version_num() == 5).then_some(rule)
}

fn stands(document: &Document, rule: &str) -> bool {
    let mut alerts = document.alerts.iter();
    alerts.any(|alert| rule_of(&alert.alert_id) == Some(rule))
}

/// Whether the event is the verdict that the device fell silent.
fn fell_silent(changed: &Changed<'_>) -> bool {
    let is_verdict = matches!(
        &changed.event.event.body,
        Body::Presence(presence) if presence.reason == PresenceReason::Silence
    );
    let is_silent = |status| matches!(status, Some(Status::Stale | Status::Offline));
    is_verdict
        && is_silent(changed.after.status)
        && !is_silent(changed.before.and_then(|before| before.status))
}

fn silence(silent_for: Micros) -> String {
    format!("no sign of life for {} s", silent_for / 1_000_000)
}

fn end(key: &Arc<DeviceKey>, alert: &DeviceAlert, now: Micros) -> StepReaction {
    let alert = Alert {
        alert_id: alert.alert_id.clone(),
        alert_type: alert.alert_type.clone(),
        severity: alert.severity,
        confidence: alert.confidence,
        summary: alert.summary.clone(),
        status: AlertStatus::Closed,
        site_id: alert.site_id.clone(),
    };
    step(key, Rule::AlertClosed, alert, now, now)
}

fn step(key: &Arc<DeviceKey>, rule: Rule, alert: Alert, occurred_at: Micros, now: Micros) -> StepReaction {
    // An alert opens once and ends once: the step and the alert name the event.
    let name = format!("{}/{}/{}/{}", rule.name(), alert.alert_id, key.tenant, key.device);
    let event = Event {
        id: Uuid::new_v5(&REACTIONS, name.as_bytes()).to_string().into(),
        tenant: key.tenant.clone(),
        device: key.device.clone(),
        occurred_at,
        received_at: now,
        claimed_at: None,
        seq: None,
        body: Body::Alert(alert),
    };
    StepReaction {
        key: Arc::clone(key),
        rule,
        event: Box::new(event),
        traceparent: None,
    }
}
