use std::cell::RefCell;
use std::collections::BTreeMap;

use super::*;

/// Filters hold where they are listed.
#[derive(Default)]
struct Script {
    holds: BTreeMap<Id, Outcome>,
    texts: BTreeMap<String, [Option<&'static str>; 2]>,
    asked: RefCell<Vec<Id>>,
}

impl Judge for Script {
    fn texts(&self, field: &Field) -> [Option<&str>; 2] {
        self.texts.get(&field.to_string()).copied().unwrap_or_default()
    }

    fn outcome(&self, filter: Id, tells_left: bool) -> Option<Outcome> {
        self.asked.borrow_mut().push(filter);
        let outcome = self.holds.get(&filter).copied()?;
        (tells_left || outcome == Outcome::Shown).then_some(outcome)
    }
}

/// The index, and every filter in it.
#[derive(Default)]
struct Fixture {
    index: Filtered,
    filters: Vec<Filter>,
}

impl Fixture {
    fn change(
        &mut self,
        is_added: bool,
        (tenant, devices): (&TenantScope, &DeviceSet),
        (text, id): (&str, Id),
        slot: Slot,
    ) {
        let filter: Filter = text.parse().unwrap();
        let entry = Entry {
            tenant,
            devices,
            kinds: KindSet::ALL,
            tells_left: true,
            filter: &filter,
            id,
        };
        if is_added {
            self.index.insert(entry, slot);
        } else {
            self.index.remove(entry, slot);
        }
        self.filters.push(filter);
    }

    fn add(&mut self, text: &str, id: Id, slot: Slot) {
        self.change(true, (&acme(), &DeviceSet::All), (text, id), slot);
    }

    fn found(&self, device: &str, script: &Script) -> Vec<(Slot, Outcome)> {
        let mut wanted = Vec::new();
        self.index
            .find(("acme", device), Some(Kind::Telemetry), script, &mut wanted);
        wanted.sort_unstable();
        wanted
    }
}

fn acme() -> TenantScope {
    TenantScope::One("acme".into())
}

fn named(names: &[&str]) -> DeviceSet {
    DeviceSet::Set(std::sync::Arc::new(
        names.iter().map(|name| (*name).into()).collect(),
    ))
}

fn holding(holds: &[(Id, Outcome)]) -> Script {
    Script {
        holds: holds.iter().copied().collect(),
        ..Script::default()
    }
}

#[test]
fn one_filter_is_asked_once_for_all_streams_that_have_it() {
    let mut fixture = Fixture::default();
    (0..50).for_each(|slot| fixture.add("speed > 80", 7, slot));
    let script = holding(&[(7, Outcome::Shown)]);
    let found = fixture.found("x", &script);
    assert_eq!(
        found,
        (0..50).map(|slot| (slot, Outcome::Shown)).collect::<Vec<_>>()
    );
    assert_eq!(*script.asked.borrow(), [7]);
}

#[test]
fn a_filter_that_names_devices_is_asked_of_their_changes_only() {
    let mut fixture = Fixture::default();
    fixture.add("id = \"a\" and speed > 80", 1, 1);
    fixture.change(true, (&acme(), &named(&["a", "b"])), ("speed > 80", 2), 2);
    fixture.change(true, (&acme(), &named(&["b"])), ("speed < 80", 3), 3);
    let script = holding(&[(1, Outcome::Shown), (2, Outcome::Shown), (3, Outcome::Shown)]);
    assert_eq!(
        fixture.found("a", &script),
        [(1, Outcome::Shown), (2, Outcome::Shown)]
    );
    assert_eq!(
        fixture.found("b", &script),
        [(2, Outcome::Shown), (3, Outcome::Shown)]
    );
    assert!(fixture.found("c", &script).is_empty());
    assert_eq!(script.asked.borrow().len(), 4);
}

#[test]
fn a_filter_that_demands_a_text_is_asked_where_it_stands_or_stood() {
    let mut fixture = Fixture::default();
    fixture.add("site_id = \"north\" and speed > 80", 1, 1);
    fixture.add("zone.name = \"A\" or zone.name = \"B\"", 2, 2);
    let mut script = holding(&[(1, Outcome::Left), (2, Outcome::Shown)]);
    assert!(fixture.found("x", &script).is_empty());
    script
        .texts
        .insert("site_id".into(), [Some("south"), Some("north")]);
    assert_eq!(fixture.found("x", &script), [(1, Outcome::Left)]);
    script
        .texts
        .insert("fields.zone.name".into(), [Some("A"), Some("B")]);
    assert_eq!(
        fixture.found("x", &script),
        [(1, Outcome::Left), (2, Outcome::Shown)]
    );
    script.texts.insert("fields.zone.name".into(), [Some("C"), None]);
    assert_eq!(fixture.found("x", &script), [(1, Outcome::Left)]);
}

#[test]
fn a_stream_that_one_of_its_filters_shows_has_not_left_by_another() {
    let mut fixture = Fixture::default();
    fixture.add("speed > 80", 1, 9);
    fixture.add("speed < 90", 2, 9);
    fixture.add("speed < 90", 2, 4);
    let script = holding(&[(1, Outcome::Left), (2, Outcome::Shown)]);
    assert_eq!(
        fixture.found("x", &script),
        [(4, Outcome::Shown), (9, Outcome::Shown)]
    );
    let script = holding(&[(1, Outcome::Left)]);
    assert_eq!(fixture.found("x", &script), [(9, Outcome::Left)]);
}

#[test]
fn streams_of_all_tenants_are_found_by_the_tenant_that_they_demand() {
    let mut fixture = Fixture::default();
    fixture.change(
        true,
        (&TenantScope::All, &DeviceSet::All),
        ("tenant = \"acme\"", 1),
        1,
    );
    fixture.change(true, (&TenantScope::All, &DeviceSet::All), ("speed > 80", 2), 2);
    let mut script = holding(&[(1, Outcome::Shown), (2, Outcome::Shown)]);
    assert_eq!(fixture.found("x", &script), [(2, Outcome::Shown)]);
    script.texts.insert("tenant".into(), [Some("acme"), None]);
    assert_eq!(
        fixture.found("x", &script),
        [(1, Outcome::Shown), (2, Outcome::Shown)]
    );
}

#[test]
fn a_deletion_reaches_every_stream_that_covers_the_device_once() {
    let mut fixture = Fixture::default();
    fixture.add("site_id = \"north\" or site_id = \"south\"", 1, 1);
    fixture.add("speed > 80", 2, 1);
    fixture.add("speed > 80", 2, 2);
    fixture.add("id = \"a\"", 3, 3);
    fixture.add("id = \"b\"", 4, 4);
    fixture.add("name = \"x\" and name = \"y\"", 5, 5);
    fixture.change(true, (&acme(), &named(&["a", "c"])), ("id = \"b\"", 4), 6);
    fixture.change(true, (&acme(), &named(&["b"])), ("speed > 80", 2), 7);
    let mut wanted = Vec::new();
    fixture
        .index
        .find_deleted(("acme", "a"), Some(Kind::Deleted), &mut wanted);
    wanted.sort_unstable();
    assert_eq!(wanted, [1, 2, 3, 4, 5, 6].map(|slot| (slot, Outcome::Shown)));
}

#[test]
fn nothing_is_left_of_streams_that_went() {
    let mut fixture = Fixture::default();
    let texts = [
        "speed > 80",
        "id = \"a\"",
        "site_id = \"n\"",
        "id = \"a\" and id = \"b\"",
    ];
    for is_added in [true, false] {
        for (id, text) in (0..).zip(texts) {
            for slot in 0..40 {
                fixture.change(is_added, (&acme(), &DeviceSet::All), (text, id), slot);
                fixture.change(is_added, (&acme(), &named(&["a", "b"])), (text, id), 100 + slot);
                fixture.change(
                    is_added,
                    (&TenantScope::All, &DeviceSet::All),
                    (text, id),
                    200 + slot,
                );
            }
        }
        assert_eq!(fixture.index.is_silent("acme"), !is_added);
    }
    assert!(fixture.index.tenants.is_empty() && fixture.index.everyone.is_empty());
}

#[test]
fn what_no_index_narrows_is_named() {
    let filters = [
        "speed > 80",
        "site_id = \"n\"",
        "tenant = \"acme\" and x",
        "id = \"a\" or x",
        "id = \"a\"",
    ]
    .iter()
    .fold(Filters::silent(), |filters, text| {
        filters.with(text.parse().unwrap())
    });
    let texts = |tenant: &TenantScope, devices: &DeviceSet| -> Vec<String> {
        unindexed(&filters, tenant, devices).map(str::to_owned).collect()
    };
    let one = texts(&acme(), &DeviceSet::All);
    assert_eq!(one.len(), 3, "{one:?}");
    assert_eq!(texts(&TenantScope::All, &DeviceSet::All).len(), 2);
    assert!(texts(&acme(), &named(&["a"])).is_empty());
}
