//! Arbitrary filters and documents, from small pools so that they meet.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use query::{Comparison, Expr, Literal, Operand, Path, Sign};
use serde_json::{Value as Json, json};

const INTEGERS: &[i64] = &[
    -2,
    -1,
    0,
    1,
    2,
    5,
    300,
    1 << 53,
    (1 << 53) + 1,
    i64::MAX - 1,
    i64::MAX,
    i64::MIN,
    i64::MIN + 1,
];
const FLOATS: &[f64] = &[
    0.0,
    -0.0,
    0.5,
    1.0,
    1.5,
    -1.5,
    5.0,
    300.0,
    9_007_199_254_740_992.0,
    9_007_199_254_740_994.0,
    9_223_372_036_854_775_808.0,
    -9_223_372_036_854_775_808.0,
    1e300,
    -1.7e308,
    5e-324,
];
const TEXTS: &[&str] = &[
    "",
    "a",
    "b",
    "Room #1",
    "é",
    "say \"x\" \\ y",
    "2025-05-01T00:00:00Z",
    "2025-05-01T02:00:00+02:00",
    "2025-05-01T00:00:00.5Z",
    "2025-05-01T00:05:00Z",
    "2025-05-01",
    "2025-13-01T00:00:00Z",
];
/// Midnight of May 1, 2025, and some around it.
const TIMES: &[i64] = &[
    1_746_057_600_000_000,
    1_746_057_600_500_000,
    1_746_057_601_000_000,
    1_746_057_900_000_000,
    0,
    -62_167_219_200_000_000,
];
const DURATIONS: &[i64] = &[0, 1, 300, 301, 3_960, 9_007_199_255, 9_223_372_036_854];
const PATHS: &[&[&str]] = &[
    &["a"],
    &["b"],
    &["c"],
    &["zone", "name"],
    &["zone", "n"],
    &["zone"],
    &["my-field"],
    &["a.b"],
    &[""],
    &["and"],
    &["true"],
    &["zone", "NOT"],
    &["`\\"],
    &["größe"],
    &["1st"],
    &["nothing"],
    &["fields", "a"],
    &["fields"],
    &["update_time"],
    &["updated_at"],
    &["connected_since"],
    &["connected"],
    &["id"],
    &["status"],
    &["version"],
    &["location", "name"],
    &["location"],
    &["tags"],
];

fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![8 => select(INTEGERS), 1 => any::<i64>()]
}

fn float() -> impl Strategy<Value = f64> {
    let finite = any::<f64>().prop_filter("finite", |value| value.is_finite());
    prop_oneof![8 => select(FLOATS), 1 => finite]
}

fn text() -> impl Strategy<Value = Box<str>> {
    prop_oneof![8 => select(TEXTS).prop_map(Box::from), 1 => any::<String>().prop_map(Box::from)]
}

/// A literal of any type.
pub(crate) fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        4 => integer().prop_map(Literal::Integer),
        3 => float().prop_map(Literal::Float),
        3 => text().prop_map(Literal::Text),
        2 => select(TIMES).prop_map(Literal::Timestamp),
        2 => select(DURATIONS).prop_map(Literal::Duration),
    ]
}

/// A path that documents have, more often than not.
pub(crate) fn path() -> impl Strategy<Value = Path> {
    let names = prop_oneof![
        40 => select(PATHS).prop_map(|names| names.iter().map(|name| Box::from(*name)).collect()),
        1 => vec(text(), 1..4),
    ];
    (proptest::bool::weighted(0.3), names).prop_map(|(previous, names)| Path { previous, names })
}

fn sign() -> impl Strategy<Value = Sign> {
    select(&[Sign::Plus, Sign::Minus][..])
}

/// A sum of any operands, also of such that have none.
fn any_operand() -> BoxedStrategy<Operand> {
    let term = prop_oneof![5 => path().prop_map(Operand::Path), 3 => literal().prop_map(Operand::Literal)];
    let sums = term.prop_recursive(2, 6, 3, |inner| {
        (inner.clone(), vec((sign(), inner), 1..3)).prop_map(|(first, rest)| Operand::Sum {
            first: Box::new(first),
            rest,
        })
    });
    sums.boxed()
}

/// A value, or a sum that may have one.
fn sound_operand() -> BoxedStrategy<Operand> {
    let reported = (any::<bool>(), select(&PATHS[..6])).prop_map(|(previous, names)| {
        let names = names.iter().map(|name| Box::from(*name)).collect();
        Operand::Path(Path { previous, names })
    });
    let number = prop_oneof![
        integer().prop_map(Literal::Integer),
        float().prop_map(Literal::Float)
    ];
    let numbers = prop_oneof![reported.clone(), number.prop_map(Operand::Literal)];
    let numbers = numbers.prop_recursive(2, 6, 3, |inner| {
        (inner.clone(), vec((sign(), inner), 1..3)).prop_map(|(first, rest)| Operand::Sum {
            first: Box::new(first),
            rest,
        })
    });
    let time = prop_oneof![
        reported,
        select(TIMES).prop_map(|at| Operand::Literal(Literal::Timestamp(at)))
    ];
    let duration = select(DURATIONS).prop_map(|seconds| Operand::Literal(Literal::Duration(seconds)));
    let times = (time, vec((sign(), duration), 1..3)).prop_map(|(first, rest)| Operand::Sum {
        first: Box::new(first),
        rest,
    });
    prop_oneof![
        2 => path().prop_map(Operand::Path),
        2 => literal().prop_map(Operand::Literal),
        2 => numbers,
        1 => times,
    ]
    .boxed()
}

fn comparison() -> impl Strategy<Value = Comparison> {
    use Comparison::{AtLeast, AtMost, Equal, Greater, Less, NotEqual};
    select(&[Equal, NotEqual, Less, AtMost, Greater, AtLeast][..])
}

/// Comparisons of one field with literals, all of which hold.
fn range() -> impl Strategy<Value = Expr> {
    (path(), vec((comparison(), literal(), any::<bool>()), 2..4)).prop_map(|(path, bounds)| {
        let comparisons = bounds.into_iter().map(|(comparison, literal, mirrored)| {
            let (path, literal) = (Operand::Path(path.clone()), Operand::Literal(literal));
            let (left, right) = if mirrored {
                (literal, path)
            } else {
                (path, literal)
            };
            Expr::Compare {
                left,
                comparison,
                right,
            }
        });
        Expr::And(comparisons.collect())
    })
}

/// A filter. Its sums may be of operands that have none.
pub(crate) fn expr() -> impl Strategy<Value = Expr> {
    expr_of(prop_oneof![any_operand(), sound_operand()].boxed())
}

/// A filter that could have been parsed.
pub(crate) fn sound_expr() -> impl Strategy<Value = Expr> {
    expr_of(sound_operand())
}

fn expr_of(operand: BoxedStrategy<Operand>) -> impl Strategy<Value = Expr> {
    let compare =
        (operand.clone(), comparison(), operand).prop_map(|(left, comparison, right)| Expr::Compare {
            left,
            comparison,
            right,
        });
    let leaf = prop_oneof![5 => compare, 2 => path().prop_map(Expr::Truth), 2 => range()];
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(Expr::And),
            vec(inner.clone(), 2..4).prop_map(Expr::Or),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    })
}

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        1 => Just(Json::Null),
        3 => any::<bool>().prop_map(Json::from),
        6 => integer().prop_map(Json::from),
        4 => float().prop_map(Json::from),
        6 => text().prop_map(|text| Json::from(&*text)),
        1 => Just(json!([1])),
        1 => Just(json!({})),
    ]
}

fn time() -> impl Strategy<Value = Json> {
    select(&TEXTS[6..10]).prop_map(Json::from)
}

/// A device document.
pub(crate) fn document() -> impl Strategy<Value = Json> {
    let reported = vec(of(scalar()), 12);
    let head = (
        select(&["a", "b"][..]),
        of(any::<bool>()),
        time(),
        of(time()),
        0..4_i64,
        of(text()),
    );
    (head, reported).prop_map(
        |((id, connected, updated_at, since, version, place), mut reported)| {
            let mut fields = json!({});
            let names = [
                "a", "b", "c", "my-field", "a.b", "", "and", "true", "`\\", "größe",
            ];
            for name in names {
                if let Some(value) = reported.pop().flatten() {
                    fields[name] = value;
                }
            }
            if let (Some(name), n) = (reported.pop().flatten(), reported.pop().flatten()) {
                fields["zone"] = json!({ "name": name, "n": n, "NOT": 5 });
            }
            let mut document = json!({
                "id": id, "status": "ONLINE", "updated_at": updated_at, "version": version, "tags": ["x"],
                "fields": fields,
            });
            if let Some(connected) = connected {
                document["connected"] = Json::from(connected);
            }
            if let Some(since) = since {
                document["connected_since"] = since;
            }
            if let Some(place) = place {
                document["location"] = json!({ "name": &*place });
            }
            document
        },
    )
}

/// A document, or none.
pub(crate) fn before() -> impl Strategy<Value = Json> {
    prop_oneof![1 => Just(Json::Null), 5 => document()]
}
