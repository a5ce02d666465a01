//! Every example of the README is true.

use query::Filter;
use serde_json::Value as Json;

use crate::json::Document;

const README: &str = include_str!("../../README.md");
/// More than these, so that a change of form does not hide them.
const EXAMPLES_MIN: usize = 45;

/// The lines of the README's examples, block by block.
fn blocks() -> impl Iterator<Item = &'static str> {
    README.split("```q\n").skip(1).map(|block| {
        let end = block.find("```").expect("a block ends");
        &block[..end]
    })
}

fn device(text: &str) -> Document {
    match text.trim() {
        "nothing" => Document(Json::Null),
        json => Document::parse(json),
    }
}

/// Whether what a line says of `filter` is true.
fn is_true(filter: &str, line: &str) -> bool {
    if let Some(expected) = line.strip_prefix("error ") {
        return filter
            .parse::<Filter>()
            .is_err_and(|error| error.to_string() == expected.trim());
    }
    let (expected, devices) = match line.strip_prefix("no match ") {
        Some(devices) => (false, devices),
        None => (
            true,
            line.strip_prefix("match ")
                .unwrap_or_else(|| panic!("{line:?} says nothing")),
        ),
    };
    let filter: Filter = filter.parse().unwrap_or_else(|error| panic!("{filter}: {error}"));
    let found = match devices.split_once(" -> ") {
        Some((before, after)) => filter.matches(&device(after), &device(before)),
        None => {
            assert!(!filter.uses_previous(), "{filter} needs a device before");
            filter.matches(&device(devices), &query::Nothing)
        }
    };
    found == expected
}

#[test]
fn every_example_of_the_readme_is_true() {
    let (mut count, mut wrong) = (0, Vec::new());
    for block in blocks() {
        for example in block.trim().split("\n\n") {
            let mut lines = example.lines();
            let filter = lines.next().expect("a filter");
            let before = count;
            for line in lines {
                count += 1;
                if !is_true(filter, line) {
                    wrong.push(format!("{filter}\n    {line}"));
                }
            }
            assert!(count > before, "{filter} has no example");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= EXAMPLES_MIN, "{count} examples");
}

#[test]
fn the_members_of_the_head_are_those_of_the_readme() {
    let line = README
        .lines()
        .skip_while(|line| !line.starts_with("`id` "))
        .take_while(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let names: Vec<_> = query::Head::ALL
        .iter()
        .map(|head| format!("`{}`", head.name()))
        .collect();
    assert_eq!(line, names.join(" "));
}
