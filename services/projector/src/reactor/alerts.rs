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
//! with each event meanwhile, and to end an alert by a change that comes before it is read back: a device
//! that flaps through a whole batch has one alert of a rule in its document, not hundreds. To forget those
//! does no harm: a step is folded once, by its id, and what stands is ended when it is read back.

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
    /// Alerts that open, by device: one of a rule at most, since a later one ends it.
    opening: FxHashMap<Arc<DeviceKey>, Vec<Alert>>,
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
        match alert.status {
            AlertStatus::Open => self.is_open(key, &alert.alert_id),
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
        let device = Device {
            key,
            document: after,
            now,
        };
        if rules.is_some() || !after.alerts.is_empty() || self.opening.contains_key(key) {
            let (was, is) = (changed.before.map(Filterable::new), Filterable::new(after));
            // Rules are many, and much the same fields interest them.
            let (was, is) = (was.as_ref().map(Memo::new), Memo::new(&is));
            let is_own_step = matches!(event.body, Body::Alert(_));
            self.end_some(book, device, &mut steps, |rule| {
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
                    let opening = Opening::of(rule);
                    self.open(device, &opening, cause, event.received_at, &mut steps);
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
            if let Some(opening) = opening {
                let cause = Cause::Event(*offset);
                self.open(device, &opening, cause, event.received_at, &mut steps);
            }
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
        let device = Device { key, document, now };
        let is = Filterable::new(document);
        self.end_some(book, device, &mut steps, |rule| rule.ends(Some(&is), &is, true));
        let rules = book.of(&key.tenant).into_iter().flatten();
        for (id, rule) in rules.filter(|(_, rule)| rule.offset >= since) {
            if !self.stands(device, id) && rule.holds(&is) {
                let cause = Cause::Rule(rule.offset);
                self.open(device, &Opening::of(rule), cause, now, &mut steps);
            }
        }
        steps.into_iter().map(Reaction::Step).collect()
    }

    /// Whether the device has an alert of `rule`, or is about to. One that is about to end is none: its rule may
    /// have come back meanwhile.
    fn stands(&self, device: Device<'_>, rule: &str) -> bool {
        let ends = |id: &str| self.ending.contains(&(Arc::clone(device.key), id.into()));
        let mut opening = self.opening.get(device.key).into_iter().flatten();
        let mut standing = device.document.alerts.iter().map(|alert| &alert.alert_id);
        opening.any(|alert| rule_of(&alert.alert_id) == Some(rule))
            || standing.any(|id| rule_of(id) == Some(rule) && !ends(id))
    }

    /// Ends the alerts whose rule is gone or `ends`, those of which a later one of the rule stands, and
    /// `NO_HEARTBEAT` of who is heard.
    fn end_some(
        &mut self,
        book: &Rulebook,
        device: Device<'_>,
        steps: &mut Vec<StepReaction>,
        ends: impl Fn(&AlertRule) -> bool,
    ) {
        let Device { key, document, .. } = device;
        let rules = book.of(&key.tenant);
        let is_over = |rule: &str| {
            if rule == NO_HEARTBEAT {
                return document.status == Some(Status::Online);
            }
            let rule = rules.and_then(|rules| rules.get(rule));
            rule.is_none_or(|rule| ends(rule))
        };
        for (index, alert) in document.alerts.iter().enumerate() {
            let Some(rule) = rule_of(&alert.alert_id) else {
                continue;
            };
            let mut later = document.alerts.iter().skip(index + 1);
            let has_later = later.any(|other| rule_of(&other.alert_id) == Some(rule));
            if has_later || is_over(rule) {
                self.end(device, of_document(alert), steps);
            }
        }
        let opening = self.opening.get(key).into_iter().flatten();
        let over: Vec<Alert> = opening
            .filter(|alert| rule_of(&alert.alert_id).is_some_and(is_over))
            .cloned()
            .collect();
        for alert in over {
            self.end(device, alert, steps);
        }
    }

    /// Ends an alert, unless that is under way.
    fn end(&mut self, device: Device<'_>, alert: Alert, steps: &mut Vec<StepReaction>) {
        let Device { key, now, .. } = device;
        self.is_open(key, &alert.alert_id);
        if self.ending.insert((Arc::clone(key), alert.alert_id.clone())) {
            let alert = Alert {
                status: AlertStatus::Closed,
                ..alert
            };
            steps.push(step(key, Rule::AlertClosed, alert, now, now));
        }
    }

    /// An alert is no longer one that opens.
    fn is_open(&mut self, key: &Arc<DeviceKey>, alert_id: &str) {
        if let Some(opening) = self.opening.get_mut(key) {
            opening.retain(|alert| *alert.alert_id != *alert_id);
            if opening.is_empty() {
                self.opening.remove(key);
            }
        }
    }

    /// Opens an alert; one of its rule that still opens ends before.
    fn open(
        &mut self,
        device: Device<'_>,
        opening: &Opening<'_>,
        cause: Cause,
        occurred_at: Micros,
        steps: &mut Vec<StepReaction>,
    ) {
        let Device { key, document, now } = device;
        let alert_id = alert_id(key, opening.rule, self.generation, cause);
        let earlier = self.opening.get(key).into_iter().flatten();
        let earlier: Vec<Alert> = earlier
            .filter(|alert| rule_of(&alert.alert_id) == Some(opening.rule) && alert.alert_id != alert_id)
            .cloned()
            .collect();
        for alert in earlier {
            self.end(device, alert, steps);
        }
        let alert = Alert {
            alert_id,
            alert_type: opening.alert_type.into(),
            severity: opening.severity,
            confidence: None,
            summary: opening.summary.into(),
            status: AlertStatus::Open,
            site_id: document.site_id.clone(),
        };
        let opening = self.opening.entry(Arc::clone(key)).or_default();
        opening.retain(|known| known.alert_id != alert.alert_id);
        opening.push(alert.clone());
        steps.push(step(key, Rule::AlertOpened, alert, occurred_at, now));
    }
}

/// A device as it is at wall time `now`.
#[derive(Clone, Copy)]
struct Device<'a> {
    key: &'a Arc<DeviceKey>,
    document: &'a Document,
    now: Micros,
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

fn of_document(alert: &DeviceAlert) -> Alert {
    Alert {
        alert_id: alert.alert_id.clone(),
        alert_type: alert.alert_type.clone(),
        severity: alert.severity,
        confidence: alert.confidence,
        summary: alert.summary.clone(),
        status: alert.status,
        site_id: alert.site_id.clone(),
    }
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
