//! Which test uses which fixture, by what stands in the tests: a call that names the fixture, in the test itself
//! or in what it calls.

use std::collections::{BTreeMap, BTreeSet};

use crate::repository::File;

/// Tests by the path of a fixture.
pub(crate) type Uses = BTreeMap<String, BTreeSet<String>>;

/// A function or constant of a test file.
struct Item<'a> {
    path: &'a str,
    name: String,
    is_test: bool,
    /// Without white space.
    text: String,
}

/// The tests that use each of the fixtures, `tests/fixtures/<dialect>/<file>`.
pub(crate) fn uses(fixtures: &[String], tests: &[File]) -> Uses {
    let items: Vec<Item<'_>> = tests.iter().flat_map(items).collect();
    let mut uses = Uses::new();
    for fixture in fixtures {
        let found = uses.entry(fixture.clone()).or_default();
        let Some((dialect, file)) = dialect_and_file(fixture) else {
            continue;
        };
        for item in items.iter().filter(|item| item.is_test) {
            if reaches(item, &items, &mut BTreeSet::new(), &|item, calls| {
                names(item, calls, dialect, file)
            }) {
                found.insert(format!("{}::{}", module(item.path), item.name));
            }
        }
    }
    uses
}

/// The table as Markdown.
pub(crate) fn table(uses: &Uses) -> String {
    let mut text = "| frame | tests |\n|---|---|\n".to_owned();
    for (fixture, tests) in uses {
        let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
        let fixture = fixture.trim_start_matches("tests/fixtures/");
        text.push_str(&format!("| `{fixture}` | {} |\n", tests.join("<br>")));
    }
    text
}

fn dialect_and_file(fixture: &str) -> Option<(&str, &str)> {
    fixture.strip_prefix("tests/fixtures/")?.split_once('/')
}

fn module(path: &str) -> String {
    let path = path.trim_start_matches("tests/it/").trim_end_matches(".rs");
    path.replace('/', "::")
}

/// What begins in the first column: functions with what stands in them, and constants.
fn items(file: &File) -> Vec<Item<'_>> {
    let mut items: Vec<Item<'_>> = Vec::new();
    let (mut is_test, mut is_open) = (false, false);
    for line in file.text.lines() {
        if line.starts_with("#[tokio::test") || line.starts_with("#[test]") {
            is_test = true;
        } else if let Some(name) = name(line) {
            items.push(Item {
                path: &file.path,
                name: name.to_owned(),
                is_test,
                text: String::new(),
            });
            (is_test, is_open) = (false, true);
        }
        if let Some(item) = items.last_mut().filter(|_| is_open) {
            item.text
                .extend(line.chars().filter(|char| !char.is_whitespace()));
        }
        is_open &= line != "}" && line != "];";
    }
    items
}

/// The name of the item that a line begins.
fn name(line: &str) -> Option<&str> {
    let begins = |word: &str| line.starts_with(word);
    if !(begins("fn ") || begins("async fn ") || begins("const ") || begins("pub")) {
        return None;
    }
    let (_, rest) = line.split_once("fn ").or_else(|| line.split_once("const "))?;
    rest.split(|char: char| !is_of_name(char)).next()
}

fn is_of_name(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Whether `holds` of the item or of one that it calls; `holds` is told the item and those that it calls.
fn reaches<'a>(
    item: &Item<'a>,
    items: &[Item<'a>],
    passed: &mut BTreeSet<String>,
    holds: &dyn Fn(&Item<'a>, &[&Item<'a>]) -> bool,
) -> bool {
    if !passed.insert(format!("{} {}", item.path, item.name)) {
        return false;
    }
    let is_called = |other: &&Item<'a>| {
        let is_near = other.path == item.path || is_above(other.path, item.path);
        is_near && !other.is_test && mentions(&item.text, &other.name)
    };
    let calls: Vec<&Item<'a>> = items.iter().filter(is_called).collect();
    holds(item, &calls) || calls.iter().any(|called| reaches(called, items, passed, holds))
}

/// Whether the module at `upper` contains that at `path`.
fn is_above(upper: &str, path: &str) -> bool {
    let folder = upper.trim_end_matches(".rs");
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Whether a name stands in a text as a word of its own that is called, or is a constant.
fn mentions(text: &str, name: &str) -> bool {
    let is_constant = name.chars().all(|char| !char.is_lowercase());
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        let is_word = !before.is_some_and(|before| is_of_name(before) || before == '"');
        is_word && (after == Some('(') || is_constant && !after.is_some_and(is_of_name))
    })
}

/// Whether an item names the fixture: both words together, or its name alone where dialect and name come to
/// the fixture by different ways.
fn names(item: &Item<'_>, calls: &[&Item<'_>], dialect: &str, file: &str) -> bool {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let together = [stem, file].map(|name| format!("\"{dialect}\",\"{name}\""));
    if together.iter().any(|words| item.text.contains(words)) {
        return true;
    }
    let takes_name = takes_name(item, dialect) || calls.iter().any(|called| takes_name(called, dialect));
    takes_name && item.text.contains(&format!("\"{stem}\""))
}

/// Whether an item reads fixtures of the dialect whose names it is given.
fn takes_name(item: &Item<'_>, dialect: &str) -> bool {
    ["fixture", "assert_like", "text"].iter().any(|function| {
        let call = format!("{function}(\"{dialect}\",");
        item.text.match_indices(&call).any(|(at, _)| {
            let rest = &item.text[at + call.len()..];
            !rest.starts_with('"')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let tests = [
            File {
                path: "tests/it/dialects/a.rs".to_owned(),
                text: "fn changed(name: &str) {\n    fixture(\"a\", name)\n}\n".to_owned(),
            },
            File {
                path: "tests/it/dialects/a/b.rs".to_owned(),
                text: text.to_owned(),
            },
        ];
        let uses = uses(&["tests/fixtures/a/x.json".to_owned()], &tests);
        uses.into_values().flatten().collect()
    }

    #[test]
    fn a_fixture_is_used_where_a_test_or_what_it_calls_names_it() {
        let test = "#[test]\nfn t() {\n    BODY\n}\n";
        for body in [
            "fixture(\n        \"a\",\n        \"x\")",
            "text(\"a\", \"x.json\")",
            "changed(\"x\")",
            "for name in [\"x\"] { fixture(\"a\", name) }",
        ] {
            let text = test.replace("BODY", body);
            assert_eq!(found(&text), ["dialects::a::b::t"], "{body}");
        }
        let helper = "fn helper() {\n    fixture(\"a\", \"x\")\n}\n";
        let text = format!("{helper}{}", test.replace("BODY", "helper()"));
        assert_eq!(found(&text), ["dialects::a::b::t"]);
    }

    #[test]
    fn a_word_alone_is_no_use() {
        for body in ["frame[\"x\"]", "fixture(\"b\", \"x\")", "other(\"x\")"] {
            let text = format!("#[test]\nfn t() {{\n    {body}\n}}\n");
            assert!(found(&text).is_empty(), "{body}");
        }
        let unused = "fn helper() {\n    fixture(\"a\", \"x\")\n}\n#[test]\nfn t() {\n    1\n}\n";
        assert!(found(unused).is_empty());
    }
}
