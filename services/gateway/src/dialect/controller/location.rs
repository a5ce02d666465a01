//! Locations as this dialect shows them, and where they move to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use access::Principal;
use schemas::document::DeviceLocation;
use schemas::event::Point;
use schemas::{Change, Document};
use serde_json::Value;
use state::DeviceKey;

use super::command::{admits, rescoped, reset};
use super::{LOCATIONS, may_anywhere};
use crate::dialect::text::quoted;
use crate::dialect::{Action, Answer, Ask, Control, Conversation, Dialect, Item, Look, Moment};
use crate::engine::LogRecord;
use crate::subscription::{DeviceSet, Selection, Subscription, TenantScope};

/// Who comes to a location or leaves it is chosen after this.
const CHOOSE_AFTER: Duration = Duration::from_millis(1);

/// The location of a device, where it moves about and has a place.
fn mobile(document: &Document) -> Option<(&DeviceLocation, Point)> {
    let location = document.location.as_ref()?;
    let is_mobile = location.is_mobile.unwrap_or(true);
    Some((location, location.geometry.filter(|_| is_mobile)?))
}

/// The whole location; `None` for one that does not move about.
fn object(document: &Document, cursor: Option<&str>) -> Option<String> {
    let (location, point) = mobile(document)?;
    let cursor = cursor.map_or_else(String::new, |cursor| format!(",\"cursor\":\"{cursor}\""));
    let name = location.name.as_ref().or(document.name.as_ref());
    let number = |number: f64| Value::from(number).to_string();
    Some(format!(
        "{{\"id\":{},\"name\":{},\"address\":{},\"type\":{},\"is_mobile\":true,\"geometry\":{{\"type\":\"Point\",\"coordinates\":[{},{}]}}{cursor}}}",
        quoted(&id(document, location)),
        quoted(name.unwrap_or(&document.id)),
        quoted(location.address.as_deref().unwrap_or_default()),
        quoted(location.location_type.as_deref().unwrap_or("outdoor")),
        number(point.longitude),
        number(point.latitude),
    ))
}

fn id(document: &Document, location: &DeviceLocation) -> Box<str> {
    let given = location.id.clone();
    given.unwrap_or_else(|| state::fold::default_location_id(&document.tenant, &document.id))
}

/// Whether a location that was there before has another place, name or address.
fn is_moved(change: &Change) -> bool {
    let shows = |path: &str| {
        ["location.geometry", "location.name", "location.address"]
            .iter()
            .any(|shown| {
                path.strip_prefix(shown)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
    };
    change.changed.iter().any(|path| shows(path)) && !is_made(change)
}

/// Whether the change made the location: it has an id now, and had none.
fn is_made(change: &Change) -> bool {
    if !change.changed.iter().any(|path| **path == *"location.id") {
        return false;
    }
    let before: Value = serde_json::from_str(&change.before).unwrap_or_default();
    before.pointer("/location/id").is_none()
}

/// Writes every location's moves.
pub(super) struct All;

impl Dialect for All {
    fn name(&self) -> &'static str {
        "controller locations"
    }

    fn data(&self, look: Look<'_>, item: Item<'_>, cursor: &str, out: &mut Vec<u8>) -> bool {
        let document = match item {
            Item::Record(record) => record
                .change()
                .filter(|change| is_moved(change))
                .map(|change| &change.document),
            Item::Change(change) => is_moved(change).then_some(&change.document),
            Item::Document(document) => Some(document),
            Item::Event(_) => None,
        };
        let cursor = look.cursors.then_some(cursor);
        let Some(text) = document.and_then(|document| object(document, cursor)) else {
            return false;
        };
        out.extend_from_slice(text.as_bytes());
        true
    }

    fn control(
        &self,
        look: Look<'_>,
        control: Control<'_>,
        cursor: &str,
        out: &mut Vec<u8>,
    ) -> Option<&'static str> {
        reset(look, control, cursor, out)
    }

    fn admits(&self, subscription: &Subscription, principal: &Principal) -> bool {
        match &subscription.selection.tenant {
            TenantScope::One(tenant) => super::may(principal, tenant, LOCATIONS),
            TenantScope::Some(_) | TenantScope::All => may_anywhere(principal, LOCATIONS),
        }
    }

    /// Organizations come and go with the principal.
    fn rescope(&self, subscription: &Subscription, principal: &Principal) -> Selection {
        let mut selection = subscription.selection.clone();
        selection.tenant = match selection.tenant {
            one @ TenantScope::One(_) => one,
            TenantScope::Some(_) | TenantScope::All if principal.is_superuser() => TenantScope::All,
            TenantScope::Some(_) | TenantScope::All => {
                TenantScope::Some(Arc::clone(&principal.organizations))
            }
        };
        selection
    }
}

/// Writes what a stream of one location begins with after a gap; its moves are [`Places`]'s.
pub(super) struct One;

impl Dialect for One {
    fn name(&self) -> &'static str {
        "controller location"
    }

    fn data(&self, look: Look<'_>, item: Item<'_>, cursor: &str, out: &mut Vec<u8>) -> bool {
        let Item::Document(document) = item else {
            return false;
        };
        let Some(text) = object(document, look.cursors.then_some(cursor)) else {
            return false;
        };
        out.extend_from_slice(text.as_bytes());
        true
    }

    fn control(
        &self,
        look: Look<'_>,
        control: Control<'_>,
        cursor: &str,
        out: &mut Vec<u8>,
    ) -> Option<&'static str> {
        reset(look, control, cursor, out)
    }

    /// Whoever sees nobody there any more has lost the location.
    fn admits(&self, subscription: &Subscription, principal: &Principal) -> bool {
        let there = &subscription.selection.devices;
        let sees_any = |principal: &Principal| !there.within(&principal.devices).is_empty();
        let is_lost = sees_any(&subscription.principal) && !sees_any(principal);
        !is_lost && admits(&subscription.selection.tenant, principal, LOCATIONS)
    }

    fn rescope(&self, subscription: &Subscription, principal: &Principal) -> Selection {
        rescoped(&subscription.selection, principal, LOCATIONS)
    }
}

/// One location, and the devices that are there: the stream follows only those, and every event that names
/// a location.
pub(super) struct Places {
    location: Box<str>,
    /// Tenants' devices that are there, by name: another tenant's of that name may be elsewhere.
    here: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
    /// Devices that came, by tenant, and where they were then.
    came: BTreeMap<Box<str>, Came>,
    /// Names of which no device is there any more.
    left: BTreeSet<Box<str>>,
    /// Those who came, until it is known where they went before they were followed: a question of each
    /// tenant's, oldest first.
    asked: VecDeque<Came>,
}

/// Devices, and where they were as they came.
type Came = BTreeMap<Box<str>, Option<Point>>;

impl Places {
    /// Of that location, where these are.
    pub(super) fn of(location: Box<str>, devices: impl IntoIterator<Item = DeviceKey>) -> Self {
        let mut here: BTreeMap<Box<str>, BTreeSet<Box<str>>> = BTreeMap::new();
        for DeviceKey { tenant, device } in devices {
            here.entry(device).or_default().insert(tenant);
        }
        Self {
            location,
            here,
            came: BTreeMap::new(),
            left: BTreeSet::new(),
            asked: VecDeque::new(),
        }
    }

    /// Notes whose device it is that came.
    fn come(&mut self, document: &Document) -> bool {
        let tenants = self.here.entry(document.id.clone()).or_default();
        tenants.insert(document.tenant.clone())
    }

    /// Notes whose device it is that is elsewhere; whether it was there, and nobody's of that name is now.
    fn go(&mut self, document: &Document) -> bool {
        let Some(tenants) = self.here.get_mut(&document.id) else {
            return false;
        };
        let is_last = tenants.remove(&document.tenant) && tenants.is_empty();
        if is_last {
            self.here.remove(&document.id);
        }
        is_last
    }

    fn is_here(&self, document: &Document) -> bool {
        document
            .location
            .as_ref()
            .is_some_and(|location| id(document, location) == self.location)
    }
}

impl Conversation for Places {
    fn shows(&self, document: &Document) -> bool {
        self.is_here(document)
    }

    fn text(&mut self, _: &str, _: &Moment<'_>) -> Vec<Action> {
        Vec::new()
    }

    fn record(&mut self, record: &LogRecord, at: &Moment<'_>) -> Vec<Action> {
        let Some(change) = record.change() else {
            return Vec::new();
        };
        let document = &change.document;
        let device = &document.id;
        let mut actions = Vec::new();
        if !self.is_here(document) {
            if let Some(came) = self.came.get_mut(&document.tenant) {
                came.remove(device);
            }
            if self.go(document) {
                self.left.insert(device.clone());
                actions.push(Action::Timer(CHOOSE_AFTER));
            }
            return actions;
        }
        self.left.remove(device);
        if self.come(document) && !at.subscription.selection.devices.contains(device) {
            let point = document.location.as_ref().and_then(|location| location.geometry);
            let came = self.came.entry(document.tenant.clone()).or_default();
            came.insert(device.clone(), point);
            actions.push(Action::Timer(CHOOSE_AFTER));
        }
        if is_moved(change) {
            actions.extend(object(document, at.cursor).map(Action::send));
        }
        actions
    }

    fn timer(&mut self, at: &Moment<'_>) -> Vec<Action> {
        self.came.retain(|_, came| !came.is_empty());
        if self.came.is_empty() && self.left.is_empty() {
            return Vec::new();
        }
        let selection = &at.subscription.selection;
        let mut devices = match &selection.devices {
            DeviceSet::Set(devices) => BTreeSet::clone(devices),
            DeviceSet::All => BTreeSet::new(),
        };
        let left = std::mem::take(&mut self.left);
        devices.retain(|device| !left.contains(device));
        devices.extend(self.came.values().flat_map(BTreeMap::keys).cloned());
        let mut actions = vec![Action::Select(Selection {
            devices: DeviceSet::Set(Arc::new(devices)),
            ..selection.clone()
        })];
        for (tenant, came) in std::mem::take(&mut self.came) {
            let ask = Box::new(Ask::Documents(came.keys().cloned().collect()));
            actions.push(Action::Ask(Ask::Within { tenant, ask }));
            self.asked.push_back(came);
        }
        actions
    }

    fn answer(&mut self, answer: Answer, at: &Moment<'_>) -> Vec<Action> {
        let asked = self.asked.pop_front().unwrap_or_default();
        let Answer::Documents(documents) = answer else {
            return Vec::new();
        };
        let went = documents.iter().filter(|stored| {
            let document = &stored.document;
            let now = document.location.as_ref().and_then(|location| location.geometry);
            self.is_here(document) && asked.get(&document.id).is_some_and(|then| *then != now)
        });
        went.filter_map(|stored| object(&stored.document, at.cursor).map(Action::send))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use journal::{Headers, Record, Topic};
    use schemas::document::DeviceLocation;
    use state::Stored;

    use super::super::tests::subscription;
    use super::*;

    fn at(longitude: f64) -> Option<Point> {
        Some(Point {
            longitude,
            latitude: 1.5,
            altitude: None,
        })
    }

    fn stored(tenant: &str, geometry: Option<Point>) -> Stored {
        let location = DeviceLocation {
            id: Some("depot".into()),
            geometry,
            ..DeviceLocation::default()
        };
        Stored {
            document: Arc::new(Document {
                tenant: tenant.into(),
                id: "van".into(),
                location: Some(location),
                ..Document::default()
            }),
            source: 0,
        }
    }

    #[test]
    fn where_devices_went_before_they_were_followed_is_asked_of_each_tenant() {
        let tenants: [Box<str>; 2] = ["acme".into(), "globex".into()];
        let subscription = subscription(TenantScope::Some(Arc::new(tenants.clone().into())));
        let moment = Moment {
            now: 0,
            subscription: &subscription,
            devices_max: 9,
            is_blocked: false,
            cursor: None,
        };
        let mut places = Places::of("depot".into(), []);
        for tenant in tenants {
            places.came.insert(tenant, [("van".into(), at(1.5))].into());
        }
        let asked: Vec<Ask> = places
            .timer(&moment)
            .into_iter()
            .filter_map(|action| match action {
                Action::Ask(ask) => Some(ask),
                Action::Select(_)
                | Action::Choose { .. }
                | Action::Send(_)
                | Action::Timer(_)
                | Action::Close(_) => None,
            })
            .collect();
        let of = |tenant: &str| Ask::Within {
            tenant: tenant.into(),
            ask: Box::new(Ask::Documents(vec!["van".into()])),
        };
        assert_eq!(asked, [of("acme"), of("globex")]);
        let mut told = |tenant: &str, longitude| {
            let answer = Answer::Documents(vec![stored(tenant, at(longitude))]);
            places.answer(answer, &moment).len()
        };
        assert_eq!(told("acme", 1.5), 0, "it is where it was");
        assert_eq!(told("globex", 2.5), 1);
    }

    fn moved(tenant: &str, place: &str, geometry: Option<Point>) -> LogRecord {
        let mut document = Document::clone(&stored(tenant, geometry).document);
        if let Some(location) = &mut document.location {
            location.id = Some(place.into());
        }
        let change = Change {
            document,
            changed: vec!["location.geometry".into()],
            before: "{\"location\":{\"geometry\":null,\"id\":\"depot\"}}".into(),
            event_id: "e".into(),
            updated_before: None,
            last_seen_before: None,
        };
        let record = Record {
            offset: 0,
            timestamp_ms: 0,
            key: format!("{tenant}/van").into(),
            value: Some(change.encode()),
            headers: Headers::default(),
        };
        LogRecord::new(Topic::State, 0, record)
    }

    #[test]
    fn a_device_elsewhere_is_not_taken_for_another_tenants_of_that_name() {
        let tenants: [Box<str>; 2] = ["acme".into(), "globex".into()];
        let mut subscription = subscription(TenantScope::Some(Arc::new(tenants.into())));
        subscription.selection.devices = DeviceSet::Set(Arc::new(["van".into()].into()));
        let moment = Moment {
            now: 0,
            subscription: &subscription,
            devices_max: 9,
            is_blocked: false,
            cursor: None,
        };
        let van = DeviceKey {
            tenant: "acme".into(),
            device: "van".into(),
        };
        let mut places = Places::of("depot".into(), [van]);
        assert!(
            places
                .record(&moved("globex", "yard", at(2.5)), &moment)
                .is_empty(),
            "theirs never was there"
        );
        assert_eq!(places.record(&moved("acme", "depot", at(2.5)), &moment).len(), 1);
        assert!(places.shows(&stored("acme", at(1.5)).document));
        let Some(change) = moved("globex", "yard", at(2.5)).change().cloned() else {
            panic!("no change");
        };
        assert!(!places.shows(&change.document));
        assert!(
            places
                .record(&moved("globex", "depot", at(3.5)), &moment)
                .iter()
                .all(|action| matches!(action, Action::Send(_))),
            "that name is followed already"
        );
        assert!(
            places.record(&moved("acme", "yard", at(3.5)), &moment).is_empty(),
            "theirs is there"
        );
        let gone = places.record(&moved("globex", "yard", at(3.5)), &moment);
        assert!(matches!(gone[..], [Action::Timer(_)]));
    }
}
