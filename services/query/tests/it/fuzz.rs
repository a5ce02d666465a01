//! Whatever is sent as a filter: an answer, never a panic.

use std::time::{Duration, Instant};

use query::{Expr, Filter, Limits, ParseError};
use serde_json::{Value as Json, json};

use crate::json::Document;
use crate::reference;

/// Inputs of the usual run.
const INPUTS: u64 = 100_000;
/// Set to a number of minutes, it makes the run as long, from a new seed.
const MINUTES: &str = "WAKELINE_FUZZ_MINUTES";

const VALID: &[&str] = &[
    "not @network.is_connected and network.is_connected",
    "update_time - @update_time > 300",
    "@tracking.location_estimate.site.zone.zone_name = \"Room #1\" and zone != \"Room \\\"#1\\\"\"",
    "a > 1 and a <= 5 or (b - 1) + -2.5 < 1h6m and not (c = 2025-05-01T00:00:00Z)",
    "`my-field`.`a\\`b` = \"x\\\\y\" or update_time > 2025-05-01T00:00:00.5+02:00 - 1d2h",
    "not not (a and (b or not c) and 9223372036854775807 + n = -9223372036854775808)",
];

const PIECES: &[&str] = &[
    "and",
    "OR",
    "not",
    "(",
    ")",
    "(",
    ")",
    "=",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "+",
    "-",
    "@",
    ".",
    "a",
    "b.c",
    "id",
    "update_time",
    "`x y`",
    "``",
    "1",
    "0",
    "-1",
    "9223372036854775808",
    "1.5",
    "1.",
    ".5",
    "1e5",
    "5m",
    "1d2h",
    "5x",
    "\"t\"",
    "\"",
    "\\",
    "`",
    "'",
    "true",
    "null",
    "==",
    "&&",
    "||",
    "!",
    "<>",
    "2025-05-01T00:00:00Z",
    "2025-05-01",
    "T00:00:00",
    "Z",
    "é",
    "\u{a0}",
    "“",
    "–",
    "≤",
    "in",
    "is",
    "\u{0}",
    "\n",
    "🚌",
    "18446744073709551616",
    "_",
    "$x",
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

fn input(random: &mut Random) -> String {
    match random.below(4) {
        0 => {
            let bytes: Vec<u8> = (0..random.below(200)).map(|_| random.next() as u8).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        1 => {
            let bytes: Vec<u8> = (0..random.below(60))
                .map(|_| 0x20 + (random.next() % 95) as u8)
                .collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        2 => pieces(random),
        _ => mutated(random),
    }
}

fn pieces(random: &mut Random) -> String {
    let mut text = String::new();
    // Now and then past the limits.
    let count = if random.below(50) == 0 {
        3_000
    } else {
        random.below(30)
    };
    let repeated = random.below(4) == 0;
    let one = random.pick(PIECES);
    for _ in 0..count {
        text.push_str(if repeated { one } else { random.pick(PIECES) });
        if random.below(3) > 0 {
            text.push(' ');
        }
    }
    text
}

fn mutated(random: &mut Random) -> String {
    let mut characters: Vec<char> = random.pick(VALID).chars().collect();
    for _ in 0..=random.below(4) {
        let at = random.below(characters.len() + 1);
        let end = (at + random.below(6)).min(characters.len());
        match random.below(4) {
            0 => drop(characters.drain(at..end)),
            1 => drop(characters.splice(at..end, random.pick(PIECES).chars())),
            2 => drop(characters.splice(at..at, random.pick(VALID).chars())),
            _ => {
                let copy = characters[at..end].to_vec();
                let to = random.below(characters.len() + 1);
                drop(characters.splice(to..to, copy));
            }
        }
    }
    characters.into_iter().collect()
}

/// What must hold of every text. Returns whether it is a filter.
fn check(text: &str, documents: &[Json], limits: &Limits) -> bool {
    match Expr::parse(text, limits) {
        Err(error) => {
            check_error(text, &error);
            false
        }
        Ok(expr) => {
            let printed = expr.to_string();
            // What is printed may be longer than what was read, and is no deeper.
            let longer = Limits {
                bytes_max: printed.len(),
                ..limits.clone()
            };
            assert_eq!(
                Expr::parse(&printed, &longer).as_ref(),
                Ok(&expr),
                "{text:?} as {printed:?}"
            );
            let filter = Filter::new(&expr);
            for before in documents {
                for after in documents {
                    let compiled = filter.matches(&Document(after.clone()), &Document(before.clone()));
                    assert_eq!(compiled, reference::holds(&expr, before, after), "{text:?}");
                }
            }
            true
        }
    }
}

fn check_error(text: &str, error: &ParseError) {
    let message = error.to_string();
    let columns = text.chars().count() + 1;
    assert!((1..=columns).contains(&error.column), "{text:?}: {message}");
    assert!(
        message.starts_with(&format!("column {}: found ", error.column)),
        "{message}"
    );
    assert!(!message.contains(char::is_control), "{text:?}: {message:?}");
    assert!(message.len() < 700, "{text:?}: {message}");
}

fn documents() -> Vec<Json> {
    vec![
        Json::Null,
        json!({
            "id": "a", "updated_at": "2025-05-01T00:00:00Z",
            "fields": { "a": 3, "b": { "c": true }, "c": "2025-05-01T00:00:00Z", "n": -1, "zone": "Room #1" },
        }),
        json!({
            "id": "b", "updated_at": "2025-05-01T00:10:00Z", "connected": true,
            "fields": { "a": 1.5, "b": 0, "network": { "is_connected": true }, "x y": 5, "my-field": { "a`b": "x\\y" } },
        }),
    ]
}

/// Runs until `goes_on` says no; returns the number of inputs, and of filters among them.
fn run(seed: u64, mut goes_on: impl FnMut(u64) -> bool) -> (u64, u64) {
    let (mut random, documents, limits) = (Random(seed), documents(), Limits::default());
    let (mut inputs, mut filters) = (0, 0);
    while goes_on(inputs) {
        let text = input(&mut random);
        // A panic of the parser has no message that would name its input: the harness shows this line then.
        let outcome = std::panic::catch_unwind(|| check(&text, &documents, &limits));
        filters += u64::from(outcome.unwrap_or_else(|_| panic!("seed {seed}, input {inputs}: {text:?}")));
        inputs += 1;
    }
    (inputs, filters)
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "how long to run is for who runs it to say"
)]
fn no_text_makes_it_panic() {
    let begun = Instant::now();
    let (seed, inputs, filters) = match std::env::var(MINUTES) {
        Err(_) => {
            let (inputs, filters) = run(1, |done| done < INPUTS);
            (1, inputs, filters)
        }
        Ok(minutes) => {
            let length = Duration::from_secs(60 * minutes.parse::<u64>().expect("a number of minutes"));
            let seed = std::process::id().into();
            let (inputs, filters) = run(seed, |_| begun.elapsed() < length);
            (seed, inputs, filters)
        }
    };
    println!(
        "seed {seed}: {inputs} inputs, {filters} of them filters, in {:?}",
        begun.elapsed()
    );
    // Otherwise only the first steps of the parser would have been tried.
    assert!(filters > inputs / 50, "{filters} of {inputs} are filters");
}
