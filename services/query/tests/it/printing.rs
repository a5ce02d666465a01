//! What is printed says what was meant.

use proptest::test_runner::{Config, TestCaseError, TestRunner};
use query::{Expr, Filter, Limits};

use crate::strategies::sound_expr;

const CASES: u32 = 10_000;

#[test]
fn printing_and_parsing_again_is_the_identity() {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let limits = Limits {
        bytes_max: 1 << 20,
        ..Limits::default()
    };
    let outcome = TestRunner::new(config).run(&sound_expr(), |expr| {
        let printed = expr.to_string();
        match Expr::parse(&printed, &limits) {
            Ok(parsed) if parsed == expr && parsed.to_string() == printed => Ok(()),
            Ok(parsed) => Err(TestCaseError::fail(format!("{printed} became {parsed}"))),
            Err(error) => Err(TestCaseError::fail(format!("{printed}: {error}"))),
        }
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn texts_that_differ_in_spaces_and_parentheses_print_the_same() {
    let texts = [
        "a>1 AND(b=2 Or not c)and d - 1<5m",
        "((a) > (1)) and (b = 2 or (NOT(c))) and (d-1) < 5m",
        "\ta > 1\nand ( b=2 or not `c` ) and d - 1 < 300s ",
    ];
    for text in texts {
        let filter: Filter = text.parse().unwrap();
        assert_eq!(filter.text(), "a > 1 and (b = 2 or not c) and d - 1 < 5m");
    }
}

#[test]
fn what_stands_in_parentheses_stays_together() {
    for text in [
        "a and (b and c)",
        "a or (b or c)",
        "a + (b + 1) > 2",
        "a - (b - 1) = c",
        "not (a and b)",
        "not not a",
        "not (a = 1)",
        "(a or b) and c",
        "a or b and c",
    ] {
        assert_eq!(text.parse::<Expr>().unwrap().to_string(), text);
    }
}

#[test]
fn literals_print_as_they_are_written() {
    for text in [
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "0.5",
        "-1.5",
        "100000000000000000000.0",
        "\"\"",
        "\"say \\\"x\\\" \\\\\"",
        "2025-05-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2025-05-01T00:00:00.25Z",
        "0s",
        "1h6m",
        "1d2h",
        "10s",
    ] {
        let text = format!("a = {text}");
        assert_eq!(text.parse::<Expr>().unwrap().to_string(), text);
    }
}
