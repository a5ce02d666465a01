//! The legacy socket, `/api/v2/ws?token=`: what is current of chosen devices, the alerts, the fleet. At
//! once when asked for, when it changes (a device not more often than once a second), and every 10 s.

mod list;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use access::Principal;
use access::http::{Body, Surface};
use http::Response;
use journal::{Micros, Offset};
use schemas::{Document, Kind, Scalar, fields};
use serde_json::{Value, json};
use state::{Counts, Stored};

use super::{cursors, error, is_device, refuse, since, tenant};
use crate::dialect::conversation::StandingAlert;
use crate::dialect::text::{quoted, reset_members, time};
use crate::dialect::{
    Action, Answer, Ask, Asked, Control, Conversation, Dialect, Entrance, Item, Look, Moment, Opening,
    Refusal,
};
use crate::engine::LogRecord;
use crate::subscription::{
    Delivery, DeviceSet, KindSet, Selection, Subscription, TenantScope, Told, Transport, View,
};
use list::List;

const PATH: &str = "/api/v2/ws";
/// A device is pushed when it changes, not more often than this.
const EVERY: Duration = Duration::from_secs(1);
/// Everything is pushed again this often.
const KEEP_ALIVE_US: Micros = 10_000_000;
/// A client that does not read is looked after again after this.
const BLOCKED_US: Micros = 1_000_000;
/// Alerts of one push.
const ALERTS_MAX: usize = 100;
/// Devices of one question.
const DEVICES_PER_QUESTION: usize = 64;
/// Kinds of events that can change the alerts or the fleet.
const OF_FLEET: KindSet = KindSet::NONE
    .with(Kind::Alert)
    .with(Kind::Presence)
    .with(Kind::Deleted);

/// The way in.
pub struct Legacy;

impl Entrance for Legacy {
    fn paths(&self) -> &[&'static str] {
        &[PATH]
    }

    fn surface(&self) -> Surface {
        Surface {
            query: &["token"],
            ..Surface::NONE
        }
    }

    fn open(&self, asked: &Asked<'_>) -> Result<Opening, Refusal> {
        let tenant = tenant(asked)?;
        let has_tenant = tenant.is_some();
        let selection = Selection {
            // No tenant has an empty name: an operator without one sees nobody's data.
            tenant: TenantScope::One(tenant.unwrap_or_default()),
            devices: DeviceSet::Set(Arc::default()),
            kinds: KindSet::NONE.with(Kind::Telemetry),
            metrics: None,
            filters: None,
            told: Told::default(),
        };
        Ok(Opening {
            delivery: Delivery::Latest,
            every: Some(EVERY),
            from: since(asked)?,
            cursors: cursors(asked)?,
            chooses: has_tenant,
            conversation: Box::new(Pushes {
                has_tenant,
                keep_alive_at: asked.now + KEEP_ALIVE_US,
                ..Pushes::default()
            }),
            first: vec![Action::Timer(micros(KEEP_ALIVE_US))],
            ..Opening::of(View::Devices, selection, Arc::new(Frames))
        })
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        refuse(refusal, 0)
    }
}

/// Writes what devices are after a change.
#[derive(Debug, Clone, Copy, Default)]
pub struct Frames;

impl Dialect for Frames {
    fn name(&self) -> &'static str {
        "telemetry-legacy"
    }

    fn data(&self, look: Look<'_>, item: Item<'_>, cursor: &str, out: &mut Vec<u8>) -> bool {
        let document = match item {
            Item::Record(record) => record.change().map(|change| &change.document),
            Item::Change(change) => Some(&change.document),
            Item::Document(document) => Some(document),
            Item::Event(_) => None,
        };
        let Some(document) = document else {
            return false;
        };
        let cursor = look.cursors.then_some(cursor);
        out.extend_from_slice(telemetry(document, cursor).as_bytes());
        true
    }

    fn control(
        &self,
        look: Look<'_>,
        control: Control<'_>,
        cursor: &str,
        out: &mut Vec<u8>,
    ) -> Option<&'static str> {
        let Control::Reset(reset) = control else {
            return None;
        };
        if !look.cursors || look.transport != Transport::WebSocket {
            return None;
        }
        let members = reset_members(reset);
        out.extend_from_slice(format!("{{\"type\":\"reset\",\"cursor\":\"{cursor}\",{members}}}").as_bytes());
        Some("reset")
    }

    fn admits(&self, subscription: &Subscription, principal: &Principal) -> bool {
        let has_tenant = subscription.selection.tenant.name() != Some("");
        principal.reads() && (!has_tenant || subscription.admits(principal))
    }
}

/// The current state of a device. Its time stands under both names: documents say one, clients read the
/// other.
fn telemetry(document: &Document, cursor: Option<&str>) -> String {
    let at = document.fold.newest_telemetry_at;
    let at = time(at.or(document.last_seen_at).unwrap_or(document.updated_at));
    let mut metrics = String::from("{");
    for (path, value) in &document.fields.0 {
        if !matches!(value, Scalar::Boolean(_) | Scalar::Integer(_) | Scalar::Number(_)) {
            continue;
        }
        if metrics.len() > 1 {
            metrics.push(',');
        }
        let mut json = Vec::with_capacity(24);
        value.write_json(&mut json);
        metrics.push_str(&quoted(&fields::unescape(path)));
        metrics.push(':');
        metrics.push_str(&String::from_utf8_lossy(&json));
    }
    metrics.push('}');
    let cursor = cursor.map_or_else(String::new, |cursor| format!(",\"cursor\":\"{cursor}\""));
    format!(
        "{{\"type\":\"telemetry\",\"device_id\":{},\"data\":{{\"time\":{at},\"timestamp\":{at},\"metrics\":{metrics},\"seq\":{}}}{cursor}}}",
        quoted(&document.id),
        document.version,
    )
}

fn alerts(tenant: &str, standing: &[StandingAlert]) -> String {
    let alerts: Vec<Value> = standing
        .iter()
        .map(|StandingAlert { device, alert }| {
            json!({
                "alert_id": alert.alert_id, "tenant_id": tenant, "device_id": device, "site_id": alert.site_id,
                "alert_type": alert.alert_type, "severity": alert.severity, "confidence": alert.confidence,
                "summary": alert.summary, "status": alert.status.word(),
                "created_at": time(alert.created_at).trim_matches('"'),
            })
        })
        .collect();
    json!({"type": "alerts", "alerts": alerts}).to_string()
}

fn fleet(counts: &Counts) -> String {
    json!({"type": "fleet_summary", "data": {
        "ONLINE": counts.online, "STALE": counts.stale, "OFFLINE": counts.offline,
        "total": counts.online + counts.stale + counts.offline,
        "active_alerts": counts.alerts_open + counts.alerts_acknowledged,
    }})
    .to_string()
}

/// What is asked of the state at present.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asking {
    Devices,
    Alerts,
    Fleet,
}

/// One client's subscriptions.
#[derive(Default)]
struct Pushes {
    has_tenant: bool,
    keep_alive_at: Micros,
    alerts: List,
    fleet: List,
    /// Devices to be pushed.
    due: BTreeSet<Box<str>>,
    /// What the client has of each. What is read of the tables may be behind what the log showed, and the other
    /// way round.
    has: HashMap<Box<str>, Has>,
    asking: Option<Asking>,
}

impl Conversation for Pushes {
    fn text(&mut self, text: &str, at: &Moment<'_>) -> Vec<Action> {
        let Ok(Value::Object(message)) = serde_json::from_str(text) else {
            return vec![Action::send(error("Invalid JSON"))];
        };
        let member = |name: &str| message.get(name).and_then(Value::as_str);
        let yes = match member("action") {
            Some("subscribe") => true,
            Some("unsubscribe") => false,
            Some(other) => return vec![Action::send(error(&format!("Unknown action: {other}")))],
            None => {
                let action = message.get("action").unwrap_or(&Value::Null);
                return vec![Action::send(error(&format!("Unknown action: {action}")))];
            }
        };
        let answer = if yes { "subscribed" } else { "unsubscribed" };
        let mut actions = match member("type") {
            Some("device") => match member("device_id").filter(|device| is_device(device)) {
                Some(device) => self.choose(device, yes, at),
                None => return vec![Action::send(error("device_id required for device subscription"))],
            },
            Some(channel @ ("alerts" | "fleet")) => {
                let list = if channel == "alerts" {
                    &mut self.alerts
                } else {
                    &mut self.fleet
                };
                list.subscribe(yes);
                let ack = json!({"type": answer, "channel": channel}).to_string();
                vec![Action::Select(self.listening(at)), Action::send(ack)]
            }
            other => {
                let channel = other.unwrap_or_default();
                return vec![Action::send(error(&format!("Unknown type: {channel}")))];
            }
        };
        actions.extend(self.go_on(at));
        actions
    }

    fn binary(&mut self, _: &Moment<'_>) -> Vec<Action> {
        vec![Action::send(error("Invalid JSON"))]
    }

    fn record(&mut self, record: &LogRecord, at: &Moment<'_>) -> Vec<Action> {
        if record.kind != Some(Kind::Presence) {
            self.alerts.stir(at.now);
        }
        self.fleet.stir(at.now);
        self.timer_action(at)
    }

    fn answer(&mut self, answer: Answer, at: &Moment<'_>) -> Vec<Action> {
        let asking = self.asking.take();
        let mut actions = match answer {
            Answer::Documents(documents) => self.pushed(&documents, at),
            Answer::Alerts(standing) => {
                let tenant = at.subscription.selection.tenant.name().unwrap_or_default();
                let text = alerts(tenant, &standing);
                self.alerts.take(text, at).into_iter().collect()
            }
            Answer::Counts(counts) => self.fleet.take(fleet(&counts), at).into_iter().collect(),
            Answer::History(_)
            | Answer::Commanded(_)
            | Answer::Refused(_)
            | Answer::Device(_)
            | Answer::HasAny(_)
            | Answer::Tenants(_)
            | Answer::Places(_)
            | Answer::Devices(_)
            | Answer::Unavailable => {
                // Devices come again with the keep-alive.
                match asking {
                    Some(Asking::Alerts) => self.alerts.put_off(at.now),
                    Some(Asking::Fleet) => self.fleet.put_off(at.now),
                    Some(Asking::Devices) | None => {}
                }
                Vec::new()
            }
        };
        actions.extend(self.go_on(at));
        actions
    }

    fn timer(&mut self, at: &Moment<'_>) -> Vec<Action> {
        if at.now >= self.keep_alive_at {
            self.keep_alive_at = at.now + KEEP_ALIVE_US;
            // A client that does not read gets the next one.
            if !at.is_blocked {
                self.alerts.repeat();
                self.fleet.repeat();
                let chosen = chosen(at);
                self.has.retain(|device, _| chosen.contains(device));
                self.due.extend(chosen.iter().cloned());
            }
        }
        self.go_on(at)
    }

    fn is_old(&self, record: &LogRecord) -> bool {
        let (Some(has), Some(change)) = (self.has.get(record.device()), record.change()) else {
            return false;
        };
        // What changed since a cursor is shown all the same, where that is what is current.
        let is_behind = record.source_offset.is_some_and(|source| source < has.source);
        is_behind && change.document.fold.newest_telemetry_at < has.newest_telemetry_at
    }

    fn has(&mut self, record: &LogRecord) {
        if let (Some(source), Some(change)) = (record.source_offset, record.change()) {
            self.take(&change.document, source);
        }
    }

    fn refusal(&self, reason: &str) -> Option<bytes::Bytes> {
        Some(error(reason).into())
    }
}

fn chosen(at: &Moment<'_>) -> Arc<BTreeSet<Box<str>>> {
    match &at.subscription.selection.devices {
        DeviceSet::Set(devices) => Arc::clone(devices),
        DeviceSet::All => Arc::default(),
    }
}

/// What a client has of a device.
#[derive(Default)]
struct Has {
    /// The last event folded into it.
    source: Offset,
    newest_telemetry_at: Option<Micros>,
}

impl Pushes {
    fn take(&mut self, document: &Document, source: Offset) {
        let has = self.has.entry(document.id.clone()).or_default();
        has.source = has.source.max(source);
        has.newest_telemetry_at = has.newest_telemetry_at.max(document.fold.newest_telemetry_at);
    }

    fn pushed(&mut self, documents: &[Stored], at: &Moment<'_>) -> Vec<Action> {
        let chosen = chosen(at);
        let mut actions = Vec::new();
        for Stored { document, source } in documents {
            let has_data = document.fold.newest_telemetry_at.is_some();
            let has = self.has.get(&document.id);
            let is_old = has.is_some_and(|has| *source < has.source);
            if has_data && !is_old && chosen.contains(&document.id) {
                self.take(document, *source);
                actions.push(Action::send(telemetry(document, at.cursor)));
            }
        }
        actions
    }

    fn choose(&mut self, device: &str, yes: bool, at: &Moment<'_>) -> Vec<Action> {
        let answer = if yes { "subscribed" } else { "unsubscribed" };
        let ack = json!({"type": answer, "channel": "device", "device_id": device}).to_string();
        if !self.has_tenant {
            return vec![Action::send(ack)];
        }
        let (mut add, mut remove) = (Vec::new(), Vec::new());
        if yes {
            let chosen = chosen(at);
            if !chosen.contains(device) && chosen.len() >= at.devices_max {
                let message = format!("a stream may name {} devices at most", at.devices_max);
                return vec![Action::send(error(&message))];
            }
            self.due.insert(device.into());
            add.push(device.into());
        } else {
            self.due.remove(device);
            self.has.remove(device);
            remove.push(device.into());
        }
        vec![Action::Choose { add, remove }, Action::send(ack)]
    }

    /// The selection with what the lists must be told of.
    fn listening(&self, at: &Moment<'_>) -> Selection {
        let of_all = if self.has_tenant && (self.alerts.is_subscribed() || self.fleet.is_subscribed()) {
            OF_FLEET
        } else {
            KindSet::NONE
        };
        Selection {
            told: Told {
                of_all,
                ..Told::default()
            },
            ..at.subscription.selection.clone()
        }
    }

    /// Asks what is due, one thing after the other, and sets the timer for what comes next.
    fn go_on(&mut self, at: &Moment<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        if !self.has_tenant {
            self.due.clear();
            if self.alerts.wants(at.now) {
                self.alerts.begin(at.now);
                actions.extend(self.alerts.take(alerts("", &[]), at));
            }
            if self.fleet.wants(at.now) {
                self.fleet.begin(at.now);
                actions.extend(self.fleet.take(fleet(&Counts::default()), at));
            }
        } else if self.asking.is_none() && !at.is_blocked {
            if !self.due.is_empty() {
                let some: Vec<Box<str>> = self.due.iter().take(DEVICES_PER_QUESTION).cloned().collect();
                self.due.retain(|device| !some.contains(device));
                self.asking = Some(Asking::Devices);
                actions.push(Action::Ask(Ask::Documents(some)));
            } else if self.alerts.wants(at.now) {
                self.asking = Some(Asking::Alerts);
                self.alerts.begin(at.now);
                actions.push(Action::Ask(Ask::Alerts { limit: ALERTS_MAX }));
            } else if self.fleet.wants(at.now) {
                self.asking = Some(Asking::Fleet);
                self.fleet.begin(at.now);
                actions.push(Action::Ask(Ask::Counts));
            }
        }
        actions.extend(self.timer_action(at));
        actions
    }

    fn timer_action(&self, at: &Moment<'_>) -> Vec<Action> {
        let looks = self.alerts.next_look().into_iter().chain(self.fleet.next_look());
        // While something is asked, the answer goes on with the rest.
        let looks = looks.filter(|_| self.asking.is_none());
        let next = looks
            .chain([self.keep_alive_at])
            .min()
            .unwrap_or(self.keep_alive_at);
        let least = if at.is_blocked { BLOCKED_US } else { 1_000 };
        vec![Action::Timer(micros((next - at.now).max(least)))]
    }
}

/// The conversation of a client with a tenant.
#[cfg(test)]
pub(super) fn conversation() -> impl Conversation {
    Pushes {
        has_tenant: true,
        keep_alive_at: KEEP_ALIVE_US,
        ..Pushes::default()
    }
}

fn micros(micros: Micros) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
