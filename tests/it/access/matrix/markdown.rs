//! The table for people.

use super::cell::CASES;
use super::row::{Expect, Row};

/// The table, in Markdown.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| dialect | way in | path | no credential | wrong | expired | another page's cookie | revoked | ends | \
         loses its right | another tenant's device | names another tenant | out of scope | too little | right |\n",
    );
    text.push_str(&"|---".repeat(CASES.len() + 3));
    text.push_str("|\n");
    for row in rows {
        let Row {
            dialect,
            what,
            method,
            pattern,
            ..
        } = row;
        text.push_str(&format!("| {dialect} | {what} | `{method} {pattern}` |"));
        for case in CASES {
            text.push_str(&format!(" {} |", said(row.expected(case))));
        }
        text.push('\n');
    }
    text
}

fn said(expect: Expect) -> String {
    match expect {
        Expect::Na => "–".to_owned(),
        Expect::Is(status) => status.to_string(),
        Expect::Says(101, text) => format!("told `{}`", text.replace('|', "\\|")),
        Expect::Says(status, text) => format!("{status}, `{}`", text.replace('|', "\\|")),
        Expect::Silent => "open, nothing".to_owned(),
        Expect::Shows => "sees its own".to_owned(),
        Expect::Ends(code) => format!("close {code}"),
        Expect::Fault => "`fault`, end".to_owned(),
    }
}
