//! What is wrong, where, and what to write instead: word for word.

use query::{Expected, Expr, Fix, Found, ParseError};

/// A filter with `▸` where the error is, and what the error says there.
#[rustfmt::skip]
const ERRORS: &[(&str, &str)] = &[
    ("▸", "found the end, expected {condition}"),
    ("   ▸", "found the end, expected {condition}"),
    ("speed ▸== 80", "found '==', expected {operator} or the end; use = for equality"),
    ("speed ▸=== 80", "found '===', expected {operator} or the end; use = for equality"),
    ("a ▸<> 1", "found '<>', expected {operator} or the end; use != for inequality"),
    ("a ▸!== 1", "found '!==', expected {operator} or the end; use != for inequality"),
    ("a ▸=> 1", "found '=>', expected {operator} or the end; use >="),
    ("a ▸=< 1", "found '=<', expected {operator} or the end; use <="),
    ("a ▸&& b", "found '&&', expected {operator} or the end; use AND"),
    ("a ▸|| b", "found '||', expected {operator} or the end; use OR"),
    ("a ▸& b", "found '&', expected {operator} or the end; use AND"),
    ("▸!a", "found '!', expected {condition}; use NOT"),
    ("▸!(a = 1)", "found '!', expected {condition}; use NOT"),
    ("a = ▸true", "found 'true', expected {value}; name the field alone: there are no boolean literals"),
    ("a = ▸False", "found 'False', expected {value}; put NOT before the field: there are no boolean literals"),
    ("a != ▸null", "found 'null', expected {value}; put NOT before the field: that holds where it is null, missing or false"),
    ("▸true", "found 'true', expected {condition}; name the field alone: there are no boolean literals"),
    ("@▸true", "found 'true', expected {condition}; name the field alone: there are no boolean literals"),
    ("a = ▸'x'", "found ''', expected {value}; use double quotes for texts"),
    ("a = ▸“x”", "found '“', expected {value}; use straight double quotes: \""),
    ("a ▸– 1 > 2", "found '–', expected {operator} or the end; use the minus sign -"),
    ("a ▸* 2 = 4", "found '*', expected {operator} or the end; there are only + and -"),
    ("a ▸/ 2 = 4", "found '/', expected {operator} or the end; there are only + and -"),
    ("a ▸: 1", "found ':', expected {operator} or the end; use = for equality"),
    ("a ▸≠ 1", "found '≠', expected {operator} or the end; use != for inequality"),
    ("a ▸b", "found 'b', expected {operator} or the end"),
    ("a ▸is 5", "found 'is', expected {operator} or the end; use = for equality"),
    ("a ▸in (1, 2)", "found 'in', expected {operator} or the end; write one comparison for each value, joined with OR"),
    ("a ▸like \"x\"", "found 'like', expected {operator} or the end; texts are compared whole: there are no patterns"),
    ("a ▸between 1 and 5", "found 'between', expected {operator} or the end; write x >= 1 AND x <= 5"),
    ("1 < a ▸< 5", "found '<', expected AND, OR or the end; write two comparisons, joined with AND"),
    ("a = 1 ▸= b", "found '=', expected AND, OR or the end; write two comparisons, joined with AND"),
    ("▸5 and x", "found '5', expected {condition}; a value alone is no condition: compare it with another"),
    ("a and ▸6", "found '6', expected {condition}; a value alone is no condition: compare it with another"),
    ("▸a + 1", "found 'a + 1', expected {condition}; a value alone is no condition: compare it with another"),
    ("▸(a + 1) and b", "found '(a + 1)', expected {condition}; a value alone is no condition: compare it with another"),
    ("▸\"text\"", "found '\"text\"', expected {condition}; a value alone is no condition: compare it with another"),
    ("a = ▸(b and c)", "found a condition, expected {value}"),
    ("▸(a = 1) + 2 > 3", "found a condition, expected {value}"),
    ("▸(a = 1) = b", "found a condition, expected {value}"),
    ("a = ▸not b", "found 'not', expected {value}"),
    ("a + ▸not b > 1", "found 'not', expected {value}"),
    ("not▸", "found the end, expected {condition}"),
    ("a and▸", "found the end, expected {condition}"),
    ("a or ▸", "found the end, expected {condition}"),
    ("a =▸", "found the end, expected {value}"),
    ("a = ▸and b", "found 'and', expected {value}"),
    ("▸= 5", "found '=', expected {condition}"),
    ("▸and a", "found 'and', expected {condition}"),
    ("(a = 1▸", "found the end, expected AND, OR or ); close the parenthesis of column 1"),
    ("((a) and b▸", "found the end, expected AND, OR or ); close the parenthesis of column 1"),
    ("(a▸", "found the end, expected {operator} or ); close the parenthesis of column 1"),
    ("a▸)", "found ')', expected {operator} or the end; no parenthesis is open here"),
    ("▸)", "found ')', expected {condition}; no parenthesis is open here"),
    ("(▸)", "found ')', expected {condition}"),
    ("a = 1 ▸b", "found 'b', expected AND, OR or the end"),
    ("a = 1▸)", "found ')', expected AND, OR or the end; no parenthesis is open here"),
    ("(a ▸b)", "found 'b', expected {operator} or )"),
    ("(a = 1 ▸b)", "found 'b', expected AND, OR or )"),
    ("a.▸", "found the end, expected a name"),
    ("a.▸.b", "found '.', expected a name"),
    ("▸.a", "found '.', expected {condition}"),
    ("a.▸@b", "found '@', expected a name; @ stands before the first name: @a.b"),
    ("@▸", "found the end, expected a name"),
    ("@▸@a", "found '@', expected a name"),
    ("@▸5", "found '5', expected a name"),
    ("a.▸5", "found '5', expected a name; write this name in backquotes: `5`"),
    ("a.▸0.b", "found '0', expected a name; write this name in backquotes: `0`"),
    ("▸1st = 2", "found '1st', expected a duration such as 5h, 1h6m or 1d2h (units: d, h, m, s)"),
    ("a.▸and", "found 'and', expected a name; write this name in backquotes: `and`"),
    ("▸größe > 1", "found 'größe', expected a name; write this name in backquotes: `größe`"),
    ("▸café = 1", "found 'café', expected a name; write this name in backquotes: `café`"),
    ("▸$a = 1", "found '$a', expected a name; write this name in backquotes: `$a`"),
    ("a = \"x▸", "found the end, expected a closing \"; close what begins at column 5"),
    ("a = \"x▸\\n\"", "found '\\n', expected \\\" or \\\\"),
    ("`a = 1▸", "found the end, expected a closing `; close what begins at column 1"),
    ("`a▸\\x` = 1", "found '\\x', expected \\` or \\\\"),
    ("a = ▸5.", "found '5.', expected a number such as 12 or 0.5; write digits on both sides of the point: 0.5"),
    ("a = ▸.5", "found '.', expected {value}; write digits on both sides of the point: 0.5"),
    ("a = ▸1.2.3", "found '1.2.3', expected a number such as 12 or 0.5"),
    ("a = ▸1e5", "found '1e5', expected a number such as 12 or 0.5; write the number out, without an exponent"),
    ("a = ▸1.5e5", "found '1.5e5', expected a number such as 12 or 0.5; write the number out, without an exponent"),
    ("a = ▸1_000", "found '1_000', expected a number such as 12 or 0.5; write digits only"),
    ("a = ▸0x1F", "found '0x1F', expected a duration such as 5h, 1h6m or 1d2h (units: d, h, m, s)"),
    ("a = ▸1.5h", "found '1.5h', expected a number such as 12 or 0.5; use whole numbers of smaller units: 1h30m"),
    ("a = ▸5x", "found '5x', expected a duration such as 5h, 1h6m or 1d2h (units: d, h, m, s)"),
    ("a = ▸5min", "found '5min', expected a duration such as 5h, 1h6m or 1d2h (units: d, h, m, s)"),
    ("a = ▸5H", "found '5H', expected a duration such as 5h, 1h6m or 1d2h (units: d, h, m, s)"),
    ("a = ▸9223372036854775808", "found '9223372036854775808', expected a number of 64 bits; write it with a fraction, as in 10.0"),
    ("a = -▸9223372036854775809", "found '9223372036854775809', expected a number of 64 bits; write it with a fraction, as in 10.0"),
    ("a = ▸99999999999999999999", "found '99999999999999999999', expected a number of 64 bits; write it with a fraction, as in 10.0"),
    ("a = ▸999999999999999999d", "found '999999999999999999d', expected a duration of less than 292,000 years"),
    ("a = -▸5m", "found '5m', expected a number such as 12 or 0.5; only a number has a sign: subtract instead"),
    ("a = -▸b", "found 'b', expected a number such as 12 or 0.5; only a number has a sign: subtract instead"),
    ("a = ▸+5", "found '+', expected {value}; only a number has a sign: subtract instead"),
    ("a > ▸2025-05-01", "found '2025-05-01', expected a time such as 2025-05-01T00:00:00Z; write date, time and zone: 2025-05-01T00:00:00Z"),
    ("a > ▸2025-05-01T00:00:00", "found '2025-05-01T00:00:00', expected a time such as 2025-05-01T00:00:00Z; write date, time and zone: 2025-05-01T00:00:00Z"),
    ("a > ▸2025-05-01T00:00", "found '2025-05-01T00:00', expected a time such as 2025-05-01T00:00:00Z; write date, time and zone: 2025-05-01T00:00:00Z"),
    ("a > ▸2025-02-30T00:00:00Z", "found '2025-02-30T00:00:00Z', expected a time such as 2025-05-01T00:00:00Z; the calendar has no such day, or the day no such time"),
    ("a > ▸2025-05-01T00:00:00Zx", "found '2025-05-01T00:00:00Zx', expected a time such as 2025-05-01T00:00:00Z; write date, time and zone: 2025-05-01T00:00:00Z"),
    ("update_time ▸+ created_at > 5", "found a time + a time, expected two numbers, two durations, or a time and a duration"),
    ("update_time ▸+ 300 > created_at", "found a time + a number, expected two numbers, two durations, or a time and a duration; a number is no duration in a sum: write 300s or 5m"),
    ("300 ▸+ update_time > created_at", "found a number + a time, expected two numbers, two durations, or a time and a duration; a number is no duration in a sum: write 300s or 5m"),
    ("update_time + 5m ▸+ created_at > 1", "found a time + a time, expected two numbers, two durations, or a time and a duration"),
    ("5m ▸- update_time = 1", "found a duration - a time, expected two numbers, two durations, two times, or a time and a duration"),
    ("\"x\" ▸+ 1 = 2", "found a text + a number, expected two numbers, two durations, or a time and a duration"),
    ("connected ▸+ 1 = 2", "found a boolean + a number, expected two numbers, two durations, or a time and a duration"),
    ("id ▸+ 1 = 2", "found a text + a number, expected two numbers, two durations, or a time and a duration"),
    ("a ▸+ \"x\" = 1", "found a field + a text, expected two numbers, two durations, or a time and a duration"),
    ("5m ▸+ 1 = 2", "found a duration + a number, expected two numbers, two durations, or a time and a duration; a number is no duration in a sum: write 300s or 5m"),
    ("a ▸- \"x\" = 1", "found a field - a text, expected two numbers, two durations, two times, or a time and a duration"),
    ("a ▸; b", "found ';', expected {operator} or the end"),
    ("a▸, b", "found ',', expected {operator} or the end"),
    ("a▸[0] = 1", "found '[', expected {operator} or the end"),
    ("a = ▸{", "found '{', expected {value}"),
    ("a = ▸?", "found '?', expected {value}"),
    ("a ▸~ 1", "found '~', expected {operator} or the end"),
    ("a ▸== true", "found '==', expected {operator} or the end; use = for equality"),
    ("speed > 80 and zone = ▸'Room #1'", "found ''', expected {value}; use double quotes for texts"),
    ("speed > 80 ▸km", "found 'km', expected AND, OR or the end"),
    ("a ▸contains \"x\"", "found 'contains', expected {operator} or the end; texts are compared whole: there are no patterns"),
    ("a = b ▸c = d", "found 'c', expected AND, OR or the end"),
    ("a ▸not b", "found 'not', expected {operator} or the end"),
    ("a = \"x\" ▸\"y\"", "found '\"y\"', expected AND, OR or the end"),
    ("a AND ▸AND b", "found 'AND', expected {condition}"),
    ("not not▸", "found the end, expected {condition}"),
    ("a = 5 ▸m", "found 'm', expected AND, OR or the end"),
    ("a = ▸1.0.", "found '1.0.', expected a number such as 12 or 0.5"),
    ("▸🚌", "found '🚌', expected {condition}"),
    ("a = ▸🚌", "found '🚌', expected {value}"),
    ("a\t= 1\t▸b", "found 'b', expected AND, OR or the end"),
    ("a ▸=! 1", "found '=!', expected {operator} or the end; use != for inequality"),
    ("a ▸! = 1", "found '!', expected {operator} or the end; use NOT"),
    ("a ▸!in b", "found '!', expected {operator} or the end; use NOT"),
    ("a.`b▸", "found the end, expected a closing `; close what begins at column 3"),
];

/// What stands for the names in braces.
const EXPECTED: &[(&str, &str)] = &[
    (
        "{condition}",
        "a condition (a field, a comparison, NOT or a parenthesis)",
    ),
    (
        "{value}",
        "a value (a field, a number, a \"text\", a time or a duration)",
    ),
    ("{operator}", "an operator (= != < <= > >= + - AND OR)"),
];

#[test]
fn an_error_says_where_what_and_how_to_mend_it() {
    let mut wrong = Vec::new();
    for (marked, expected) in ERRORS {
        let column = marked.chars().take_while(|c| *c != '▸').count() + 1;
        let text = marked.replacen('▸', "", 1);
        let expected = EXPECTED
            .iter()
            .fold((*expected).to_owned(), |text, (name, whole)| {
                text.replace(name, whole)
            });
        let said = match text.parse::<Expr>() {
            Ok(expr) => format!("is {expr}"),
            Err(error) => error.to_string(),
        };
        if said != format!("column {column}: {expected}") {
            wrong.push(format!("{text}\n    {said}\n    column {column}: {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_error_is_a_value_to_act_on() {
    assert_eq!(
        "speed == 80".parse::<Expr>(),
        Err(ParseError {
            column: 7,
            found: Found::Source("==".into()),
            expected: Expected::Operator { open: false },
            fix: Some(Fix::Equality),
        })
    );
}

#[test]
fn what_is_long_is_shown_shortened() {
    let text = format!("a = \"{}", "x".repeat(100));
    let error = format!("{text}\" b").parse::<Expr>().unwrap_err();
    assert_eq!(error.found, Found::Source("b".into()));
    let error = format!("a = {}", "9".repeat(100)).parse::<Expr>().unwrap_err();
    assert_eq!(error.found, Found::Source(format!("{}…", "9".repeat(40)).into()));
}

#[test]
fn what_is_shown_breaks_no_line() {
    let error = "a \u{1b} b".parse::<Expr>().unwrap_err();
    assert_eq!(error.found.to_string(), "'\\u{1b}'");
}
