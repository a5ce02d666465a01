//! Filters of three comparisons on documents of 40 fields, on one core: evaluations a second.
//!
//! Nothing is sent and nothing is a process of its own: what is measured is the language, as the gateway runs
//! it. Every comparison is made, because every evaluation matches: no evaluation costs more.

use std::hint::black_box;
use std::time::{Duration, Instant};

use query::{Filter, Memo, Nothing};
use schemas::{Document, Fields, Scalar};
use state::Filterable;

use crate::error::Error;
use crate::figures::{Row, Sense};
use crate::rig::Rig;

const SCENARIO: &str = "filter";
/// Reported fields of a document.
const FIELDS: usize = 40;
/// Documents, so that no evaluation finds what the one before it looked at.
const DOCUMENTS: usize = 256;
/// Different filters that judge one change.
const FILTERS: i64 = 64;
/// What the clock is asked after.
const ROUNDS: usize = 16;

pub(super) fn run(rig: &Rig) -> Result<Vec<Row>, Error> {
    let documents: Vec<Document> = (0..DOCUMENTS).map(document).collect();
    let filters = (0..FILTERS).map(filter).collect::<Result<Vec<Filter>, Error>>()?;
    let length = rig.options.length();
    let forms: [Form<'_>; 2] = [
        Form {
            variant: "1 filter, 40 fields",
            limit_is: "three look-ups in the same map and three comparisons, in Rust",
            notes: "each evaluation finds three of 40 fields by name, which is most of it",
            product: &|| alone(&filters[..1], &documents),
            limit: &|| by_hand(&documents),
        },
        Form {
            variant: "64 filters, 40 fields",
            limit_is: "the same comparisons of values already found, in Rust",
            notes: "as the gateway judges a change: each field is found once for all filters",
            product: &|| together(&filters, &documents),
            limit: &|| by_hand_together(&documents),
        },
    ];
    let mut rows = Vec::new();
    for form in forms {
        let (mut product, mut limit) = (Vec::new(), Vec::new());
        for _ in 0..rig.options.runs() {
            product.push(rate(length, form.product)?);
            limit.push(rate(length, form.limit)?);
        }
        rows.push(Row {
            scenario: SCENARIO,
            variant: form.variant.to_owned(),
            measure: "evaluations/s",
            sense: Sense::Rate,
            product,
            limit_is: form.limit_is,
            limit,
            notes: form.notes.to_owned(),
        });
    }
    Ok(rows)
}

struct Form<'a> {
    variant: &'static str,
    limit_is: &'static str,
    notes: &'static str,
    product: &'a dyn Fn() -> Count,
    limit: &'a dyn Fn() -> Count,
}

/// Evaluations, and how many of them matched.
struct Count {
    evaluations: u64,
    matches: u64,
}

/// Evaluations a second. All of them must match.
fn rate(length: Duration, round: &dyn Fn() -> Count) -> Result<f64, Error> {
    let (begun, mut evaluations) = (Instant::now(), 0);
    loop {
        for _ in 0..ROUNDS {
            let count = round();
            if count.matches != count.evaluations {
                return Err(Error::Unreadable {
                    what: "evaluations that matched".to_owned(),
                    text: format!("{} of {}", count.matches, count.evaluations),
                });
            }
            evaluations += count.evaluations;
        }
        let seconds = begun.elapsed().as_secs_f64();
        if seconds >= length.as_secs_f64() {
            return Ok(evaluations as f64 / seconds);
        }
    }
}

fn document(number: usize) -> Document {
    let names = (0..FIELDS - 3).map(|index| format!("sensor_{index:02}.value"));
    let mut fields: Vec<(Box<str>, Scalar)> = names
        .map(|name| (name.into(), Scalar::Number(number as f64 / 7.0)))
        .collect();
    fields.push(("speed".into(), Scalar::Integer(200 + (number % 50) as i64)));
    fields.push(("heading".into(), Scalar::Number((number % 90) as f64)));
    fields.push(("motion".into(), Scalar::String("moving".into())));
    Document {
        tenant: "bench".into(),
        id: format!("bus-{number}").into(),
        fields: Fields(fields.into_iter().collect()),
        ..Document::default()
    }
}

fn filter(number: i64) -> Result<Filter, Error> {
    let text = format!(
        "speed > {} and heading < 180.5 and motion = \"moving\"",
        80 + number
    );
    text.parse()
        .map_err(|error: query::ParseError| Error::Unreadable {
            what: "a filter".to_owned(),
            text: error.to_string(),
        })
}

fn alone(filters: &[Filter], documents: &[Document]) -> Count {
    let mut count = Count {
        evaluations: 0,
        matches: 0,
    };
    for document in documents {
        let document = Filterable::new(black_box(document));
        for filter in black_box(filters) {
            count.matches += u64::from(filter.matches(&document, &Nothing));
            count.evaluations += 1;
        }
    }
    count
}

fn together(filters: &[Filter], documents: &[Document]) -> Count {
    let mut count = Count {
        evaluations: 0,
        matches: 0,
    };
    for document in documents {
        let document = Filterable::new(black_box(document));
        let document = Memo::new(&document);
        for filter in black_box(filters) {
            count.matches += u64::from(filter.matches(&document, &Nothing));
            count.evaluations += 1;
        }
    }
    count
}

/// The three values that the filters ask for.
fn found(document: &Document) -> Option<(i64, f64, &str)> {
    let fields = &document.fields.0;
    match (
        fields.get(black_box("speed"))?,
        fields.get(black_box("heading"))?,
        fields.get(black_box("motion"))?,
    ) {
        (Scalar::Integer(speed), Scalar::Number(heading), Scalar::String(motion)) => {
            Some((*speed, *heading, motion))
        }
        (_, _, _) => None,
    }
}

fn compare((speed, heading, motion): (i64, f64, &str), than: i64) -> bool {
    speed > than && heading < black_box(180.5) && motion == black_box("moving")
}

fn by_hand(documents: &[Document]) -> Count {
    let mut count = Count {
        evaluations: 0,
        matches: 0,
    };
    for document in documents {
        let holds = found(black_box(document)).is_some_and(|values| compare(values, black_box(80)));
        count.matches += u64::from(holds);
        count.evaluations += 1;
    }
    count
}

fn by_hand_together(documents: &[Document]) -> Count {
    let mut count = Count {
        evaluations: 0,
        matches: 0,
    };
    for document in documents {
        let values = found(black_box(document));
        for number in 0..FILTERS {
            let holds = black_box(values).is_some_and(|values| compare(values, black_box(80 + number)));
            count.matches += u64::from(holds);
            count.evaluations += 1;
        }
    }
    count
}
