//! The published versions of the Avro schemas.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::holds;
use crate::repository::files;

/// `current`: the schemas by name; `history`: their published versions by name and number.
fn breaches(
    current: &BTreeMap<String, Value>,
    history: &BTreeMap<String, BTreeMap<u32, Value>>,
) -> Vec<String> {
    let mut breaches = Vec::new();
    for (name, schema) in current {
        match history.get(name).and_then(BTreeMap::last_key_value) {
            None => breaches.push(format!(
                "schemas/{name}.avsc has no published version in history/{name}/"
            )),
            Some((number, newest)) if newest != schema => breaches.push(format!(
                "schemas/{name}.avsc is not history/{name}/{number}.avsc: publish it as a further version"
            )),
            Some(_) => {}
        }
    }
    for (name, versions) in history {
        if !current.contains_key(name) {
            breaches.push(format!("history/{name}/ belongs to no schema"));
        }
        for (expected, found) in (1..).zip(versions.keys()) {
            if *found != expected {
                breaches.push(format!("history/{name}/: version {expected} is missing"));
                break;
            }
        }
    }
    breaches
}

#[test]
fn every_schema_is_published() {
    let mut current = BTreeMap::new();
    let mut history: BTreeMap<String, BTreeMap<u32, Value>> = BTreeMap::new();
    for file in files(|path| path.starts_with("schemas/") && path.ends_with(".avsc")) {
        let schema =
            serde_json::from_str(&file.text).unwrap_or_else(|error| panic!("{}: {error}", file.path));
        let name = file.path.trim_start_matches("schemas/").trim_end_matches(".avsc");
        match name.split('/').collect::<Vec<_>>()[..] {
            [name] => drop(current.insert(name.to_owned(), schema)),
            ["history", name, number] => {
                let number = number
                    .parse()
                    .unwrap_or_else(|_| panic!("{} has no number", file.path));
                history.entry(name.to_owned()).or_default().insert(number, schema);
            }
            _ => panic!("{} lies where no schema belongs", file.path),
        }
    }
    holds(
        "what others rely on is kept as it was published",
        &breaches(&current, &history),
    );
}

#[test]
fn a_schema_that_was_altered_or_lost_is_seen() {
    let schema = |name: &str| Value::from(name);
    let current = BTreeMap::from([("events".to_owned(), schema("two"))]);
    let published = |versions: &[(u32, &str)]| {
        let versions = versions
            .iter()
            .map(|(number, name)| (*number, schema(name)))
            .collect();
        BTreeMap::from([("events".to_owned(), versions)])
    };
    assert_eq!(breaches(&current, &published(&[(1, "one"), (2, "two")])).len(), 0);
    assert_eq!(breaches(&current, &published(&[(1, "one")])).len(), 1);
    assert_eq!(breaches(&current, &published(&[(2, "two")])).len(), 1);
    assert_eq!(breaches(&current, &BTreeMap::new()).len(), 1);
    assert_eq!(breaches(&BTreeMap::new(), &published(&[(1, "one")])).len(), 1);
}
