//! Compiled evaluation is what the language means.

use std::cell::Cell;

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use query::{Field, Fields, Filter, Memo, Nothing, Value};

use crate::json::Document;
use crate::reference;
use crate::strategies::{before, document, expr};

const CASES: u32 = 20_000;

#[test]
fn compiled_evaluation_equals_a_walk_over_the_tree() {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let (held, ran) = (Cell::new(0_u32), Cell::new(0_u32));
    let outcome = TestRunner::new(config).run(&(expr(), before(), document()), |(expr, before, after)| {
        let filter = Filter::new(&expr);
        let meant = reference::holds(&expr, &before, &after);
        let (before, after) = (Document(before), Document(after));
        let compiled = filter.matches(&after, &before);
        ran.set(ran.get() + 1);
        held.set(held.get() + u32::from(compiled));
        if compiled != meant {
            return Err(TestCaseError::fail(format!(
                "{filter} is {compiled}, should be {meant}"
            )));
        }
        if filter.matches(&Memo::new(&after), &Memo::new(&before)) != meant {
            return Err(TestCaseError::fail(format!(
                "{filter} differs on what is remembered"
            )));
        }
        if before.0.is_null() && filter.matches(&after, &Nothing) != meant {
            return Err(TestCaseError::fail("no document is not as an empty one"));
        }
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, (expr, before, after))) => {
            panic!("{why}\nfilter {expr}\nbefore {before}\nafter {after}")
        }
        Err(error @ TestError::Abort(_)) => panic!("{error}"),
    }
    // Filters that always or never hold would show nothing.
    let (held, ran) = (held.get(), ran.get());
    assert!(ran >= CASES, "{ran} cases");
    assert!(held > ran / 5 && held < ran / 5 * 4, "{held} of {ran} hold");
}

/// A document in which every value is what it was asked for, and that counts how often it was asked.
struct Counted(Cell<u32>);

impl Fields for Counted {
    fn value(&self, field: &Field) -> Value<'_> {
        self.0.set(self.0.get() + 1);
        let number = field.names().last().and_then(|name| name[1..].parse().ok());
        number.map_or(Value::Absent, Value::Integer)
    }

    fn is_container(&self, _: &Field) -> bool {
        false
    }
}

#[test]
fn a_document_is_searched_once_for_each_place() {
    let document = Counted(Cell::new(0));
    let memo = Memo::new(&document);
    for bound in 0..10 {
        let filter: Filter = format!("n5 > {bound}").parse().unwrap();
        assert_eq!(filter.matches(&memo, &Nothing), 5 > bound);
    }
    assert_eq!(document.0.get(), 1);
}

#[test]
fn more_places_than_are_remembered_keep_their_values() {
    let document = Counted(Cell::new(0));
    let memo = Memo::new(&document);
    for _ in 0..2 {
        for number in 0..500 {
            let filter: Filter = format!("n{number} = {number}").parse().unwrap();
            assert!(filter.matches(&memo, &Nothing), "{filter}");
        }
    }
}
