//! Running a test, and joining two.

use super::{Place, Program, Source, Test, computed};
use crate::time::parse_timestamp;
use crate::value::{self, Computed, Fields, Value};

impl Test {
    /// Narrows this test to where `other` holds too, if they are of one kind and one field.
    pub(super) fn narrow(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(place, range), Self::Number(also, other)) if place == also => {
                *range = range.and(*other);
                true
            }
            (Self::Time(place, range), Self::Time(also, other)) if place == also => {
                *range = range.and(*other);
                true
            }
            (test, other) => test == other,
        }
    }

    /// Whether it holds of nothing.
    pub(super) fn is_never(&self) -> bool {
        match self {
            Self::Number(_, range) => range.is_empty(),
            Self::Time(_, range) => range.is_empty(),
            Self::Truth(_) | Self::Text(..) | Self::Compare(_) => false,
        }
    }
}

/// What a program runs on.
pub(crate) struct Run<'r, A, B> {
    pub(crate) program: &'r Program,
    pub(crate) after: &'r A,
    pub(crate) before: &'r B,
}

impl<'r, A: Fields, B: Fields> Run<'r, A, B> {
    /// Whether `test` holds.
    #[inline(always)]
    pub(crate) fn holds(&self, test: &'r Test) -> bool {
        match test {
            Test::Number(place, range) => range.contains(self.value(*place)),
            Test::Text(place, text) => match self.value(*place) {
                Value::Text(value) => *value == **text,
                Value::Absent
                | Value::Boolean(_)
                | Value::Integer(_)
                | Value::Float(_)
                | Value::Timestamp(_) => false,
            },
            Test::Truth(place) => match self.value(*place) {
                Value::Boolean(value) => value,
                Value::Absent => self.is_container(*place),
                Value::Integer(_) | Value::Float(_) | Value::Text(_) | Value::Timestamp(_) => true,
            },
            Test::Time(place, range) => match self.value(*place) {
                Value::Timestamp(at) => range.contains(at),
                Value::Text(text) => parse_timestamp(text).is_some_and(|at| range.contains(at)),
                Value::Absent | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) => false,
            },
            Test::Compare(sides) => {
                let (left, comparison, right) = &**sides;
                value::compare(self.computed(left), *comparison, self.computed(right))
            }
        }
    }

    #[inline(always)]
    fn value(&self, place: Place) -> Value<'r> {
        let field = &self.program.fields[place.field as usize];
        if place.previous {
            self.before.value(field)
        } else {
            self.after.value(field)
        }
    }

    fn is_container(&self, place: Place) -> bool {
        let field = &self.program.fields[place.field as usize];
        if place.previous {
            self.before.is_container(field)
        } else {
            self.after.is_container(field)
        }
    }

    fn computed(&self, source: &'r Source) -> Computed<'r> {
        match source {
            Source::Field(place) => Computed::Plain(self.value(*place)),
            Source::Literal(literal) => computed(literal),
            Source::Invalid => Computed::Invalid,
            // As deep as the filter's parentheses, which are limited.
            Source::Sum(first, rest) => rest.iter().fold(self.computed(first), |sum, (sign, term)| {
                value::sum(sum, *sign, self.computed(term))
            }),
        }
    }
}
