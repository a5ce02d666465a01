//! Where the values of a comparison come from.

use super::Place;
use crate::expr::{Literal, Sign};
use crate::time::MICROS;
use crate::value::{self, Computed, Value};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    Field(Place),
    Literal(Literal),
    /// A sum without value.
    Invalid,
    Sum(Box<Source>, Box<[(Sign, Source)]>),
}

impl Source {
    /// A sum; done here as far as its terms are known.
    pub(super) fn sum(first: Self, rest: Vec<(Sign, Self)>) -> Self {
        let mut first = first;
        let mut rest = rest.into_iter().peekable();
        while let Some((sign, term)) = rest.peek() {
            let (Some(left), Some(right)) = (first.constant(), term.constant()) else {
                break;
            };
            let Some(known) = Self::from_computed(value::sum(left, *sign, right)) else {
                break;
            };
            first = known;
            rest.next();
        }
        let rest: Box<[_]> = rest.collect();
        if rest.is_empty() {
            first
        } else {
            Self::Sum(Box::new(first), rest)
        }
    }

    /// Its value, if no device is needed for it.
    pub(super) fn constant(&self) -> Option<Computed<'_>> {
        match self {
            Self::Literal(literal) => Some(computed(literal)),
            Self::Invalid => Some(Computed::Invalid),
            Self::Field(_) | Self::Sum(..) => None,
        }
    }

    /// What has this value, if it can be written.
    fn from_computed(value: Computed<'_>) -> Option<Self> {
        let literal = match value {
            Computed::Invalid => return Some(Self::Invalid),
            Computed::Plain(Value::Integer(value)) => Literal::Integer(value),
            Computed::Plain(Value::Float(value)) => Literal::Float(value),
            Computed::Plain(Value::Timestamp(at)) => Literal::Timestamp(at),
            Computed::Duration(micros) if micros % MICROS == 0 => Literal::Duration(micros / MICROS),
            Computed::Duration(_) | Computed::Plain(Value::Text(_) | Value::Boolean(_) | Value::Absent) => {
                return None;
            }
        };
        Some(Self::Literal(literal))
    }
}

/// The value of a literal.
#[inline]
pub(crate) fn computed(literal: &Literal) -> Computed<'_> {
    match literal {
        Literal::Integer(value) => Computed::Plain(Value::Integer(*value)),
        Literal::Float(value) => Computed::Plain(Value::Float(*value)),
        Literal::Text(text) => Computed::Plain(Value::Text(text)),
        Literal::Timestamp(at) => Computed::Plain(Value::Timestamp(*at)),
        Literal::Duration(seconds) => Computed::Duration(seconds.saturating_mul(MICROS)),
    }
}
