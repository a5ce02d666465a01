//! A filter, ready to run.

use std::fmt;
use std::str::FromStr;

use crate::compile::test::Run;
use crate::compile::{Program, Target};
use crate::error::{ParseError, Source};
use crate::expr::Expr;
use crate::field::Field;
use crate::hint::IndexHint;
use crate::limits::Limits;
use crate::value::Fields;
use crate::{parser, types};

/// A filter, ready to run. Immutable, and as large as its text, about: to be shared by all who wrote it.
#[derive(Clone)]
pub struct Filter {
    program: Program,
    hint: IndexHint,
    /// The text that its tree prints as.
    text: Box<str>,
}

impl Expr {
    /// Parses a filter.
    ///
    /// # Errors
    /// Where it is none, and why.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, ParseError> {
        let source = Source(text);
        let tree = parser::parse(source, limits).and_then(|node| types::condition(source, node));
        tree.map_err(|failure| *failure)
    }
}

/// With the default limits.
impl FromStr for Expr {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text, &Limits::default())
    }
}

impl Filter {
    /// Compiles a tree.
    #[must_use]
    pub fn new(expr: &Expr) -> Self {
        Self {
            program: Program::new(expr),
            hint: IndexHint::of(expr),
            text: expr.to_string().into(),
        }
    }

    /// Parses and compiles a filter.
    ///
    /// # Errors
    /// Where it is none, and why.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, ParseError> {
        Ok(Self::new(&Expr::parse(text, limits)?))
    }

    /// Whether it holds of a change from `before` to `after`. Of a device as it is, where nothing changed,
    /// `before` is the same as `after`, or, for a filter without `@`, anything.
    #[must_use]
    #[inline]
    pub fn matches<A: Fields, B: Fields>(&self, after: &A, before: &B) -> bool {
        let run = Run {
            program: &self.program,
            after,
            before,
        };
        let mut target = self.program.entry;
        while let Some(step) = self.program.steps.get(target.0 as usize) {
            target = if run.holds(&step.test) { step.yes } else { step.no };
        }
        target == Target::MATCH
    }

    /// Every place that it reads, once, in the order of its text.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.program.fields
    }

    /// The places that it reads as they are after the change.
    pub fn fields_after(&self) -> impl Iterator<Item = &Field> {
        let reads = self.program.fields.iter().zip(&self.program.reads);
        reads.filter_map(|(field, reads)| reads.after.then_some(field))
    }

    /// The places that it reads as they were before the change.
    pub fn fields_before(&self) -> impl Iterator<Item = &Field> {
        let reads = self.program.fields.iter().zip(&self.program.reads);
        reads.filter_map(|(field, reads)| reads.before.then_some(field))
    }

    /// Whether `@` stands in it.
    #[must_use]
    pub fn uses_previous(&self) -> bool {
        self.program.reads.iter().any(|reads| reads.before)
    }

    /// What it implies of a device.
    #[must_use]
    pub const fn hint(&self) -> &IndexHint {
        &self.hint
    }

    /// Its text in one form: the same for texts that differ in spaces and parentheses only.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// With the default limits.
impl FromStr for Filter {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text, &Limits::default())
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({})", self.text)
    }
}
