//! Ranges of numbers and of times: what a comparison with a literal asks of a value.

use crate::compile::computed;
use crate::expr::{Comparison, Literal};
use crate::time::MICROS;
use crate::value::{Computed, Value, as_seconds};

/// Numbers from one to another, both included, in each of their two forms. Empty where the first is greater.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct NumberRange {
    integers: (i64, i64),
    floats: (f64, f64),
}

/// Times from one to another, both included, in microseconds. Empty where the first is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeRange(i64, i64);

/// The whole numbers and the doubles next to a number, on either side; the same where it is one of them.
struct Neighbours {
    floor: i128,
    ceil: i128,
    below: f64,
    above: f64,
}

impl NumberRange {
    /// The numbers `x` for which `x comparison literal` holds. `None` if none does: it is no number, or no
    /// number is in it.
    pub(crate) fn of(comparison: Comparison, literal: &Literal) -> Option<Self> {
        let Neighbours {
            floor,
            ceil,
            below,
            above,
        } = Neighbours::of(literal)?;
        let is_float = below == above;
        let less = if is_float { below.next_down() } else { below };
        let greater = if is_float { above.next_up() } else { above };
        let (least, greatest) = (i128::MIN, i128::MAX);
        let (integers, floats) = match comparison {
            Comparison::Equal => ((ceil, floor), (above, below)),
            Comparison::Less => ((least, ceil.saturating_sub(1)), (f64::NEG_INFINITY, less)),
            Comparison::AtMost => ((least, floor), (f64::NEG_INFINITY, below)),
            Comparison::Greater => ((floor.saturating_add(1), greatest), (greater, f64::INFINITY)),
            Comparison::AtLeast => ((ceil, greatest), (above, f64::INFINITY)),
            Comparison::NotEqual => return None,
        };
        let range = Self {
            integers: clamp(integers),
            floats,
        };
        (!range.is_empty()).then_some(range)
    }

    /// Whether it is a number in the range.
    #[inline]
    pub(crate) fn contains(self, value: Value<'_>) -> bool {
        match value {
            Value::Integer(value) => self.integers.0 <= value && value <= self.integers.1,
            Value::Float(value) => self.floats.0 <= value && value <= self.floats.1,
            Value::Absent | Value::Boolean(_) | Value::Text(_) | Value::Timestamp(_) => false,
        }
    }

    /// What is in both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            integers: (
                self.integers.0.max(other.integers.0),
                self.integers.1.min(other.integers.1),
            ),
            floats: (
                self.floats.0.max(other.floats.0),
                self.floats.1.min(other.floats.1),
            ),
        }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.integers.0 > self.integers.1 && self.floats.0 > self.floats.1
    }
}

/// The part of a range that 64 bits can say.
fn clamp((least, greatest): (i128, i128)) -> (i64, i64) {
    let low = i64::try_from(least.max(i128::from(i64::MIN)));
    let high = i64::try_from(greatest.min(i128::from(i64::MAX)));
    match (low, high) {
        (Ok(low), Ok(high)) => (low, high),
        // All of it is beyond them.
        _ => (i64::MAX, i64::MIN),
    }
}

impl Neighbours {
    fn of(literal: &Literal) -> Option<Self> {
        match computed(literal) {
            Computed::Plain(Value::Integer(value)) => {
                let float = value as f64;
                // Both are exact in 128 bits.
                let rounded = (float as i128).cmp(&i128::from(value));
                Some(Self {
                    floor: i128::from(value),
                    ceil: i128::from(value),
                    below: if rounded.is_gt() { float.next_down() } else { float },
                    above: if rounded.is_lt() { float.next_up() } else { float },
                })
            }
            Computed::Plain(Value::Float(value)) => Some(Self {
                floor: value.floor() as i128,
                ceil: value.ceil() as i128,
                below: value,
                above: value,
            }),
            Computed::Duration(micros) => {
                let (micros, second) = (i128::from(micros), i128::from(MICROS));
                let floor = micros.div_euclid(second);
                let seconds = as_seconds(i64::try_from(micros).ok()?);
                Some(Self {
                    floor,
                    ceil: if floor * second == micros {
                        floor
                    } else {
                        floor + 1
                    },
                    below: seconds,
                    above: seconds,
                })
            }
            Computed::Plain(Value::Absent | Value::Boolean(_) | Value::Text(_) | Value::Timestamp(_))
            | Computed::Invalid => None,
        }
    }
}

impl TimeRange {
    /// The times for which `time comparison at` holds; `None` if none does.
    pub(crate) fn of(comparison: Comparison, at: i64) -> Option<Self> {
        match comparison {
            Comparison::Equal => Some(Self(at, at)),
            Comparison::Less => at.checked_sub(1).map(|last| Self(i64::MIN, last)),
            Comparison::AtMost => Some(Self(i64::MIN, at)),
            Comparison::Greater => at.checked_add(1).map(|first| Self(first, i64::MAX)),
            Comparison::AtLeast => Some(Self(at, i64::MAX)),
            Comparison::NotEqual => None,
        }
    }

    #[inline]
    pub(crate) const fn contains(self, at: i64) -> bool {
        self.0 <= at && at <= self.1
    }

    /// What is in both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0.max(other.0), self.1.min(other.1))
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 > self.1
    }
}
