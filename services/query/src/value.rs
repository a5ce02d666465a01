//! Values, how they compare and what sums they have; and the port that they come through.

use std::cmp::Ordering;

use crate::expr::{Comparison, Sign};
use crate::field::Field;
use crate::time::{MICROS, parse_timestamp};

/// What stands at a place of a document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Nothing, or null, or an object, or an array.
    Absent,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A text. One that says a time in RFC 3339 counts as that where a filter asks for a time.
    Text(&'a str),
    /// Microseconds since the Unix epoch.
    Timestamp(i64),
}

/// A document that a filter can read.
pub trait Fields {
    /// The value at `field`; [`Value::Absent`] also for an object or an array.
    fn value(&self, field: &Field) -> Value<'_>;

    /// Whether an object or an array stands at `field`. Asked only where a filter names the field alone and
    /// [`value`](Self::value) has nothing.
    fn is_container(&self, field: &Field) -> bool;
}

/// A document without anything: what was before a device's first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nothing;

impl Fields for Nothing {
    #[inline]
    fn value(&self, _: &Field) -> Value<'_> {
        Value::Absent
    }

    #[inline]
    fn is_container(&self, _: &Field) -> bool {
        false
    }
}

impl<F: Fields + ?Sized> Fields for &F {
    #[inline]
    fn value(&self, field: &Field) -> Value<'_> {
        (**self).value(field)
    }

    #[inline]
    fn is_container(&self, field: &Field) -> bool {
        (**self).is_container(field)
    }
}

/// `None` is a document without anything.
impl<F: Fields> Fields for Option<F> {
    #[inline]
    fn value(&self, field: &Field) -> Value<'_> {
        self.as_ref().map_or(Value::Absent, |fields| fields.value(field))
    }

    #[inline]
    fn is_container(&self, field: &Field) -> bool {
        self.as_ref().is_some_and(|fields| fields.is_container(field))
    }
}

/// A value in the middle of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Computed<'a> {
    /// Of a document, or a literal's.
    Plain(Value<'a>),
    /// Microseconds.
    Duration(i64),
    /// A sum that has no value: its operands do not go together, or it is too large. Nothing compares with it.
    Invalid,
}

/// How two values relate.
enum Relation {
    /// Both are of a type that has an order.
    Ordered(Ordering),
    /// Both are of a type that has none.
    Equal(bool),
    /// They are of different types, or one is absent.
    Different,
}

/// Whether `left comparison right` holds.
pub(crate) fn compare(left: Computed<'_>, comparison: Comparison, right: Computed<'_>) -> bool {
    let relation = match (left, right) {
        (Computed::Invalid, _) | (_, Computed::Invalid) => return false,
        (Computed::Plain(left), Computed::Plain(right)) => relation(left, right),
        (Computed::Duration(left), Computed::Duration(right)) => Relation::Ordered(left.cmp(&right)),
        (Computed::Duration(left), Computed::Plain(right)) => seconds(left, right),
        (Computed::Plain(left), Computed::Duration(right)) => match seconds(right, left) {
            Relation::Ordered(ordering) => Relation::Ordered(ordering.reverse()),
            unordered @ (Relation::Equal(_) | Relation::Different) => unordered,
        },
    };
    match (relation, comparison) {
        (Relation::Ordered(ordering), Comparison::Equal) => ordering.is_eq(),
        (Relation::Ordered(ordering), Comparison::NotEqual) => ordering.is_ne(),
        (Relation::Ordered(ordering), Comparison::Less) => ordering.is_lt(),
        (Relation::Ordered(ordering), Comparison::AtMost) => ordering.is_le(),
        (Relation::Ordered(ordering), Comparison::Greater) => ordering.is_gt(),
        (Relation::Ordered(ordering), Comparison::AtLeast) => ordering.is_ge(),
        (Relation::Equal(equal), Comparison::Equal) => equal,
        (Relation::Equal(equal), Comparison::NotEqual) => !equal,
        (Relation::Equal(_), _) => false,
        (Relation::Different, comparison) => comparison == Comparison::NotEqual,
    }
}

fn relation(left: Value<'_>, right: Value<'_>) -> Relation {
    let ordered = |ordering: Option<Ordering>| ordering.map_or(Relation::Different, Relation::Ordered);
    match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => Relation::Ordered(left.cmp(&right)),
        (Value::Float(left), Value::Float(right)) => ordered(left.partial_cmp(&right)),
        (Value::Integer(left), Value::Float(right)) => ordered(mixed(left, right)),
        (Value::Float(left), Value::Integer(right)) => ordered(mixed(right, left).map(Ordering::reverse)),
        (Value::Text(left), Value::Text(right)) => Relation::Ordered(left.cmp(right)),
        (Value::Boolean(left), Value::Boolean(right)) => Relation::Equal(left == right),
        (Value::Timestamp(left), Value::Timestamp(right)) => Relation::Ordered(left.cmp(&right)),
        (Value::Timestamp(left), Value::Text(right)) => {
            ordered(parse_timestamp(right).map(|right| left.cmp(&right)))
        }
        (Value::Text(left), Value::Timestamp(right)) => {
            ordered(parse_timestamp(left).map(|left| left.cmp(&right)))
        }
        (
            Value::Absent
            | Value::Boolean(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Timestamp(_),
            _,
        ) => Relation::Different,
    }
}

/// A whole number against another, exactly: a double cannot say every integer.
fn mixed(integer: i64, float: f64) -> Option<Ordering> {
    /// 2⁶³, the first double beyond the integers.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if float.is_nan() {
        None
    } else if float >= BEYOND {
        Some(Ordering::Less)
    } else if float < -BEYOND {
        Some(Ordering::Greater)
    } else {
        let whole = float.trunc() as i64;
        Some(
            integer
                .cmp(&whole)
                .then_with(|| 0.0_f64.total_cmp(&(float.fract() + 0.0))),
        )
    }
}

/// A duration in microseconds against a bare number of seconds.
fn seconds(duration: i64, number: Value<'_>) -> Relation {
    let ordering = match number {
        Value::Integer(number) => Some(i128::from(duration).cmp(&(i128::from(number) * i128::from(MICROS)))),
        Value::Float(number) => as_seconds(duration).partial_cmp(&number),
        Value::Absent | Value::Boolean(_) | Value::Text(_) | Value::Timestamp(_) => None,
    };
    ordering.map_or(Relation::Different, Relation::Ordered)
}

/// A duration in microseconds as seconds.
pub(crate) fn as_seconds(duration: i64) -> f64 {
    duration as f64 / MICROS as f64
}

/// `left sign right`. With something absent there is no sum, as if it were absent itself.
pub(crate) fn sum<'a>(left: Computed<'a>, sign: Sign, right: Computed<'a>) -> Computed<'a> {
    use Computed::{Duration, Invalid, Plain};
    use Value::{Absent, Float, Integer, Text, Timestamp};
    let integers = |left: i64, right: i64| match sign {
        Sign::Plus => left.checked_add(right),
        Sign::Minus => left.checked_sub(right),
    };
    let number = |left: f64, right: f64| {
        let sum = match sign {
            Sign::Plus => left + right,
            Sign::Minus => left - right,
        };
        if sum.is_finite() {
            Plain(Float(sum))
        } else {
            Invalid
        }
    };
    let timestamp = |at: Option<i64>| at.map_or(Invalid, |at| Plain(Timestamp(at)));
    let duration = |length: Option<i64>| length.map_or(Invalid, Duration);
    match (left, right) {
        (Invalid, _) | (_, Invalid) => Invalid,
        (Plain(Absent), _) | (_, Plain(Absent)) => Plain(Absent),
        (Plain(Integer(left)), Plain(Integer(right))) => {
            integers(left, right).map_or(Invalid, |sum| Plain(Integer(sum)))
        }
        (Plain(Integer(left)), Plain(Float(right))) => number(left as f64, right),
        (Plain(Float(left)), Plain(Integer(right))) => number(left, right as f64),
        (Plain(Float(left)), Plain(Float(right))) => number(left, right),
        (Duration(left), Duration(right)) => duration(integers(left, right)),
        (Plain(Timestamp(_) | Text(_)), Duration(right)) => {
            timestamp(time(left).and_then(|left| integers(left, right)))
        }
        (Duration(left), Plain(Timestamp(_) | Text(_))) if sign == Sign::Plus => {
            timestamp(time(right).and_then(|right| left.checked_add(right)))
        }
        (Plain(Timestamp(_) | Text(_)), Plain(Timestamp(_) | Text(_))) if sign == Sign::Minus => {
            let difference = |left: i64, right: i64| left.checked_sub(right);
            duration(
                time(left)
                    .zip(time(right))
                    .and_then(|(left, right)| difference(left, right)),
            )
        }
        (Plain(_) | Duration(_), Plain(_) | Duration(_)) => Invalid,
    }
}

/// A time, or a text that says one.
fn time(value: Computed<'_>) -> Option<i64> {
    match value {
        Computed::Plain(Value::Timestamp(at)) => Some(at),
        Computed::Plain(Value::Text(text)) => parse_timestamp(text),
        Computed::Plain(_) | Computed::Duration(_) | Computed::Invalid => None,
    }
}
