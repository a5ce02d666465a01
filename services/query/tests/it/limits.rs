//! What is too much.

use query::{Expected, Expr, Filter, Found, Limits};

#[test]
fn a_filter_of_the_greatest_length_is_taken() {
    let limits = Limits::default();
    let text = format!("{:<1$}", "a", limits.bytes_max);
    assert!(Filter::parse(&text, &limits).is_ok());
    let error = Filter::parse(&format!("{text} "), &limits).unwrap_err();
    assert_eq!(
        error.to_string(),
        "column 4097: found 4097 bytes, expected at most 4096 bytes"
    );
}

#[test]
fn the_column_of_a_filter_that_is_too_long_counts_characters() {
    let limits = Limits {
        bytes_max: 5,
        ..Limits::default()
    };
    assert_eq!(Filter::parse("éééé", &limits).unwrap_err().column, 3);
}

#[test]
fn parentheses_and_nots_nest_as_deep_as_allowed() {
    let nested =
        |depth: usize, open: &str, close: &str| format!("{}a{}", open.repeat(depth), close.repeat(depth));
    for (open, close) in [("(", ")"), ("not ", ""), ("NOT(", ")"), ("1 = (", ")")] {
        let levels = open.matches(['(', 'n', 'N']).count();
        let most = 64 / levels;
        let deepest = nested(most, open, close).parse::<Expr>();
        let is_deep = |outcome: &Result<Expr, query::ParseError>| {
            outcome
                .as_ref()
                .is_err_and(|error| matches!(error.found, Found::Depth(65)))
        };
        assert!(!is_deep(&deepest), "{open}: {deepest:?}");
        assert!(is_deep(&nested(most + 1, open, close).parse()), "{open}");
    }
    let error = nested(65, "(", ")").parse::<Expr>().unwrap_err();
    assert_eq!(error.column, 65);
    assert_eq!(error.expected, Expected::DepthMax(64));
}

#[test]
fn long_chains_are_not_deep() {
    let limits = Limits {
        bytes_max: 1 << 20,
        ..Limits::default()
    };
    for joint in [" and ", " or ", " + ", " - "] {
        let sum = format!("{} > 1", vec!["a"; 50_000].join(joint));
        assert!(Filter::parse(&sum, &limits).is_ok(), "{joint}");
    }
}

#[test]
fn the_deepest_nesting_that_can_be_set_fits_a_small_stack() {
    let limits = Limits {
        depth_max: u8::MAX,
        ..Limits::default()
    };
    let text = format!("{}a = 1{}", "a = 1 or b and not (".repeat(127), ")".repeat(127));
    let parsed = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || Filter::parse(&text, &limits).map(|filter| filter.fields().len()))
        .unwrap();
    assert_eq!(parsed.join().unwrap(), Ok(2));
}

#[test]
fn a_path_has_as_many_names_as_allowed() {
    let path = vec!["a"; 64].join(".");
    assert!(path.parse::<Filter>().is_ok());
    let error = format!("{path}.b").parse::<Filter>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "column 129: found a path of 65 names, expected at most 64"
    );
}

#[test]
fn without_changes_there_is_no_before() {
    let limits = Limits::default().without_previous();
    assert!(Filter::parse("a.b = 1", &limits).is_ok());
    let error = Filter::parse("a and @a", &limits).unwrap_err();
    assert_eq!(
        error.to_string(),
        "column 7: found '@', expected a field without @; only a stream of changes has values from before"
    );
}
