use proptest::prelude::*;

use super::*;

fn json(body: &str) -> Result<Vec<String>, BodyFault> {
    texts(split(Format::Json, body.as_bytes(), 3))
}

fn ndjson(body: &str) -> Result<Vec<String>, BodyFault> {
    texts(split(Format::Lines, body.as_bytes(), 3))
}

fn texts(events: Result<Vec<Box<RawValue>>, BodyFault>) -> Result<Vec<String>, BodyFault> {
    events.map(|events| events.iter().map(|event| event.get().to_owned()).collect())
}

fn place(outcome: Result<Vec<String>, BodyFault>) -> (usize, usize) {
    match outcome {
        Err(BodyFault::Syntax { line, column, .. }) => (line, column),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_object_is_one_event() {
    assert_eq!(json(" {\"a\":1}\n").unwrap(), ["{\"a\":1}"]);
}

#[test]
fn an_array_is_its_items_whatever_they_are() {
    assert_eq!(
        json("[{\"a\":[1]}, 2 ,null]").unwrap(),
        ["{\"a\":[1]}", "2", "null"]
    );
    assert_eq!(json("[]").unwrap(), Vec::<String>::new());
}

#[test]
fn lines_are_events_and_blank_ones_are_not() {
    assert_eq!(
        ndjson("{\"a\":1}\r\n\n  \n{\"b\":2}").unwrap(),
        ["{\"a\":1}", "{\"b\":2}"]
    );
    assert_eq!(ndjson("").unwrap(), Vec::<String>::new());
}

#[test]
fn an_error_in_a_line_says_which() {
    assert_eq!(place(ndjson("{\"a\":1}\n\n{\"b\":NaN}\n")), (3, 6));
    assert_eq!(place(ndjson("{\"a\":1}\n{\"b\"")), (2, 4));
    assert_eq!(place(ndjson("{} {}\n")), (1, 4));
}

#[test]
fn what_is_not_json_is_told_where() {
    for (body, at) in [
        ("", (1, 0)),
        ("[{\"a\":1},\n{\"b\":]", (2, 6)),
        ("{\"a\":1", (1, 6)),
        ("{\"a\":1} x", (1, 9)),
        ("[1,]", (1, 4)),
        ("[NaN]", (1, 2)),
        ("device=x", (1, 1)),
    ] {
        assert_eq!(place(json(body)), at, "{body}");
    }
}

#[test]
fn a_scalar_is_no_body() {
    for body in ["1", "\"text\"", "null"] {
        assert_eq!(json(body), Err(BodyFault::Shape));
    }
}

#[test]
fn too_many_events_are_told_in_either_format() {
    assert_eq!(json("[1,2,3,4]"), Err(BodyFault::TooMany { events_max: 3 }));
    assert_eq!(ndjson("1\n2\n3\n4"), Err(BodyFault::TooMany { events_max: 3 }));
    assert!(json("[1,2,3]").is_ok());
}

#[test]
fn deep_nesting_is_no_matter_here() {
    let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(json(&deep).unwrap().len(), 1);
}

#[test]
fn bytes_that_are_no_text_are_told_where() {
    let outcome = split(Format::Json, b"{\"a\":\"\xFF\"}", 3);
    assert!(matches!(outcome, Err(BodyFault::Encoding { byte: 6 })));
}

#[test]
fn formats_are_told_by_content_type() {
    assert_eq!(
        Format::of(Some("application/x-ndjson; charset=utf-8")),
        Format::Lines
    );
    assert_eq!(Format::of(Some("application/json")), Format::Json);
    assert_eq!(Format::of(None), Format::Json);
}

proptest! {
    #[test]
    fn a_cut_array_is_never_taken(items in proptest::collection::vec("[a-z\\[\\]{},:\"\\\\ ]{0,12}", 0..3), cut: prop::sample::Index) {
        let body = serde_json::to_string(&items).unwrap();
        prop_assert_eq!(json(&body).unwrap().len(), items.len());
        prop_assert!(json(&body[..cut.index(body.len())]).is_err());
    }

    #[test]
    fn no_body_makes_it_panic(body: Vec<u8>) {
        drop(split(Format::Json, &body, 3));
        drop(split(Format::Lines, &body, 3));
    }
}
