//! Every setting of the program is documented.

use std::collections::BTreeSet;

use node::config::table;

use crate::holds;
use crate::repository::text;

/// The documented table of settings.
const DOCUMENT: &str = "services/node/SETTINGS.md";

/// `settings`: names and defaults. A setting is documented on a line that has both in code marks.
fn breaches(settings: &[(&str, &str)], document: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut names = BTreeSet::new();
    for (name, default) in settings {
        if !names.insert(name) {
            breaches.push(format!("--{name} stands in the table twice"));
        }
        let told = |line: &&str| line.contains(&format!("`{name}`")) || line.contains(&format!("`--{name}`"));
        let mut lines = document.lines().filter(told).peekable();
        if lines.peek().is_none() {
            breaches.push(format!("--{name} is not in {DOCUMENT}"));
        } else if !default.is_empty() && !lines.any(|line| line.contains(&format!("`{default}`"))) {
            breaches.push(format!(
                "--{name}: its default `{default}` is not in its line of {DOCUMENT}"
            ));
        }
    }
    breaches
}

#[test]
fn every_setting_is_documented_with_its_default() {
    let settings: Vec<_> = table::settings()
        .map(|setting| (setting.name, setting.default))
        .collect();
    assert!(!settings.is_empty(), "no setting was found");
    holds("operators read one table", &breaches(&settings, &text(DOCUMENT)));
}

#[test]
fn a_setting_that_is_missing_or_has_another_default_is_seen() {
    let document = "| `--listen` | `127.0.0.1:8080` | where |\n";
    assert_eq!(breaches(&[("listen", "127.0.0.1:8080")], document).len(), 0);
    assert_eq!(breaches(&[("listen", "127.0.0.1:8081")], document).len(), 1);
    assert_eq!(breaches(&[("lis", "")], document).len(), 1);
    assert_eq!(breaches(&[("listen", ""), ("listen", "")], document).len(), 1);
}
