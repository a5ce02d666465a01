//! Compiled evaluation is what the language means.

use std::cell::Cell;

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use query::{Filter, Nothing};

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
