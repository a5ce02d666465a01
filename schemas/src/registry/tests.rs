use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::{Incompatible, Subject, all, by_id, check_compatible, latest, versions};

/// Ids that were published, for ever: extend this list, never edit it.
const ASSIGNED: &[(&str, u32, u32)] = &[
    ("wakeline.events-value", 1, 7_100_101),
    ("wakeline.state-value", 1, 7_100_201),
    ("wakeline.state-value", 2, 7_100_202),
    ("wakeline.state-value", 3, 7_100_203),
    ("wakeline.control-value", 1, 7_100_301),
    ("wakeline.rejected-value", 1, 7_100_401),
    ("wakeline.device", 1, 7_100_501),
    ("wakeline.device", 2, 7_100_502),
];

fn current(subject: Subject) -> &'static str {
    match subject {
        Subject::Events => include_str!("../../events.avsc"),
        Subject::State => include_str!("../../state.avsc"),
        Subject::Control => include_str!("../../control.avsc"),
        Subject::Rejected => include_str!("../../rejected.avsc"),
        Subject::Device => include_str!("../../device.avsc"),
    }
}

fn folder(subject: Subject) -> &'static str {
    match subject {
        Subject::Events => "events",
        Subject::State => "state",
        Subject::Control => "control",
        Subject::Rejected => "rejected",
        Subject::Device => "device",
    }
}

#[test]
fn the_current_schema_is_the_newest_of_its_history() {
    for subject in Subject::ALL {
        let newest = latest(subject).unwrap();
        assert_eq!(
            current(subject),
            newest.schema_text,
            "{}: copy it to history/",
            subject.name()
        );
    }
}

#[test]
fn every_file_of_the_history_is_registered() {
    for subject in Subject::ALL {
        let history = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("history")
            .join(folder(subject));
        let files: BTreeSet<String> = std::fs::read_dir(history)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let known: BTreeSet<String> = versions(subject)
            .map(|it| format!("{}.avsc", it.version))
            .collect();
        assert_eq!(files, known, "{}", subject.name());
    }
}

#[test]
fn versions_have_no_gaps() {
    for subject in Subject::ALL {
        let found: Vec<u32> = versions(subject).map(|it| it.version).collect();
        let wanted: Vec<u32> = (1..=u32::try_from(found.len()).unwrap()).collect();
        assert_eq!(found, wanted, "{}", subject.name());
    }
}

#[test]
fn ids_are_unique_and_never_reassigned() {
    let found: Vec<(&str, u32, u32)> = all()
        .iter()
        .map(|it| (it.subject.name(), it.version, it.id))
        .collect();
    for assigned in ASSIGNED {
        assert!(
            found.contains(assigned),
            "{assigned:?} was published and must stay"
        );
    }
    assert_eq!(
        found.len(),
        ASSIGNED.len(),
        "a new version goes into ASSIGNED too"
    );
    let ids: BTreeSet<u32> = all().iter().map(|it| it.id).collect();
    assert_eq!(ids.len(), found.len());
    for registered in all() {
        assert_eq!(by_id(registered.id), Some(registered));
    }
}

#[test]
fn each_file_states_its_own_id() {
    for registered in all() {
        let schema: Value = serde_json::from_str(registered.schema_text).unwrap();
        assert_eq!(
            schema["wakeline.schema.id"],
            registered.id,
            "{}",
            registered.subject.name()
        );
    }
}

#[test]
fn every_pair_of_versions_is_fully_compatible() {
    for subject in Subject::ALL {
        for one in versions(subject) {
            for other in versions(subject) {
                check_compatible(one.schema_text, other.schema_text).unwrap_or_else(|error| {
                    panic!(
                        "{} {} and {}: {error}",
                        subject.name(),
                        one.version,
                        other.version
                    )
                });
            }
        }
    }
}

#[test]
fn a_row_holds_the_very_document_of_the_state_topic() {
    let state: Value = serde_json::from_str(current(Subject::State)).unwrap();
    let row: Value = serde_json::from_str(current(Subject::Device)).unwrap();
    let nested = &state["fields"][0]["type"];
    assert_eq!(nested["name"], row["name"]);
    assert_eq!(nested["fields"], row["fields"]);
}

#[test]
fn every_record_and_member_is_documented() {
    fn walk(schema: &Value, at: &str) {
        match schema {
            Value::Object(object) => {
                let documented = object
                    .get("doc")
                    .and_then(Value::as_str)
                    .is_some_and(|doc| doc.len() > 4);
                let name = object.get("name").and_then(Value::as_str);
                if let Some(name) = name {
                    assert!(documented, "{at}.{name}");
                }
                for (key, value) in object {
                    if ["type", "fields", "items", "values"].contains(&key.as_str()) {
                        walk(value, &format!("{at}.{}", name.unwrap_or(key)));
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, at)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    for subject in Subject::ALL {
        walk(&serde_json::from_str(current(subject)).unwrap(), subject.name());
    }
}

fn with_member(text: &str, member: Value) -> String {
    let mut schema: Value = serde_json::from_str(text).unwrap();
    schema["fields"].as_array_mut().unwrap().push(member);
    schema.to_string()
}

#[test]
fn a_new_member_with_a_default_is_compatible() {
    let old = current(Subject::Events);
    let new = with_member(
        old,
        serde_json::json!({"name":"site","type":["null","string"],"default":null}),
    );
    check_compatible(old, &new).unwrap();
}

#[test]
fn a_new_member_without_a_default_is_refused() {
    let old = current(Subject::Events);
    let new = with_member(old, serde_json::json!({"name":"site","type":"string"}));
    let refused = check_compatible(old, &new).unwrap_err();
    assert!(
        matches!(
            refused,
            Incompatible::Unreadable {
                writer: "old",
                reader: "new",
                ..
            }
        ),
        "{refused}"
    );
}

#[test]
fn a_removed_member_without_a_default_is_refused() {
    let old = current(Subject::Events);
    let mut new: Value = serde_json::from_str(old).unwrap();
    new["fields"]
        .as_array_mut()
        .unwrap()
        .retain(|member| member["name"] != "device");
    let refused = check_compatible(old, &new.to_string()).unwrap_err();
    assert!(
        matches!(
            refused,
            Incompatible::Unreadable {
                writer: "new",
                reader: "old",
                ..
            }
        ),
        "{refused}"
    );
}

#[test]
fn a_wider_type_is_refused_because_old_readers_cannot_read_it() {
    let old = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":0}]}"#;
    let new = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"long","default":0}]}"#;
    assert!(check_compatible(old, new).is_err());
}

#[test]
fn a_member_that_becomes_nullable_is_refused() {
    let old = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"long"}]}"#;
    let new = r#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","long"],"default":null}]}"#;
    assert!(check_compatible(old, new).is_err());
}
