//! From what was written to what it means: conditions, values, and sums that can be.

use std::fmt;

use crate::error::{Expected, Failure, Fix, Found, Source};
use crate::expr::{Expr, Literal, Operand, Sign};
use crate::field::Field;
use crate::parser::{Node, NodeKind};
use crate::time;

/// What is known of a value before there is a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Nothing: a field that a device reports.
    Any,
    /// True or false.
    Boolean,
    /// A number, with a fraction or without.
    Number,
    /// A text that is no time.
    Text,
    /// A text that may say a time.
    TimeText,
    /// A time.
    Timestamp,
    /// A duration.
    Duration,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "a field",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::Text | Self::TimeText => "a text",
            Self::Timestamp => "a time",
            Self::Duration => "a duration",
        })
    }
}

impl Type {
    fn of(literal: &Literal) -> Self {
        match literal {
            Literal::Integer(_) | Literal::Float(_) => Self::Number,
            Literal::Text(text) if time::parse_timestamp(text).is_some() => Self::TimeText,
            Literal::Text(_) => Self::Text,
            Literal::Timestamp(_) => Self::Timestamp,
            Literal::Duration(_) => Self::Duration,
        }
    }

    /// The type of `self sign right`; `None` where it has no value whatever the device.
    fn sum(self, sign: Sign, right: Self) -> Option<Self> {
        use Type::{Any, Boolean, Duration, Number, Text, TimeText, Timestamp};
        match (self, sign, right) {
            (Boolean | Text, _, _) | (_, _, Boolean | Text) => None,
            (Any, Sign::Plus, Timestamp) | (Timestamp, Sign::Plus, Any) => Some(Timestamp),
            (Any, Sign::Minus, Timestamp) => Some(Duration),
            (Any, _, Number) | (Number, _, Any) => Some(Number),
            (Any, _, _) | (_, _, Any) => Some(Any),
            (Number, _, Number) => Some(Number),
            (Duration, _, Duration) => Some(Duration),
            (Timestamp | TimeText, _, Duration) => Some(Timestamp),
            (Duration, Sign::Plus, Timestamp | TimeText) => Some(Timestamp),
            (Timestamp | TimeText, Sign::Minus, Timestamp | TimeText) => Some(Duration),
            (Number | Duration | Timestamp | TimeText, _, Number | Duration | Timestamp | TimeText) => None,
        }
    }
}

/// Gives types to what was parsed.
pub(crate) fn condition(source: Source<'_>, node: Node) -> Result<Expr, Failure> {
    let many = |nodes: Vec<Node>| -> Result<Vec<Expr>, Failure> {
        nodes.into_iter().map(|node| condition(source, node)).collect()
    };
    match node.kind {
        NodeKind::Or(nodes) => Ok(Expr::Or(many(nodes)?)),
        NodeKind::And(nodes) => Ok(Expr::And(many(nodes)?)),
        NodeKind::Not(inner) => Ok(Expr::Not(Box::new(condition(source, *inner)?))),
        NodeKind::Compare(sides, comparison) => {
            let (left, right) = *sides;
            Ok(Expr::Compare {
                left: operand(source, left)?.0,
                comparison,
                right: operand(source, right)?.0,
            })
        }
        NodeKind::Path(path) => Ok(Expr::Truth(path)),
        NodeKind::Literal(_) | NodeKind::Sum { .. } => {
            Err(source.wrong(node.start, node.end, Expected::Condition, Some(Fix::CompareIt)))
        }
    }
}

fn operand(source: Source<'_>, node: Node) -> Result<(Operand, Type), Failure> {
    match node.kind {
        NodeKind::Path(path) => {
            let known = Field::of(&path.names).known_type();
            Ok((Operand::Path(path), known))
        }
        NodeKind::Literal(literal) => {
            let known = Type::of(&literal);
            Ok((Operand::Literal(literal), known))
        }
        NodeKind::Sum { first, rest } => {
            let (first, mut known) = operand(source, *first)?;
            let mut terms = Vec::with_capacity(rest.len());
            for (sign, at, node) in rest {
                let (term, right) = operand(source, node)?;
                known = known
                    .sum(sign, right)
                    .ok_or_else(|| no_sum(source, at, known, sign, right))?;
                terms.push((sign, term));
            }
            let first = Box::new(first);
            Ok((Operand::Sum { first, rest: terms }, known))
        }
        NodeKind::Or(_) | NodeKind::And(_) | NodeKind::Not(_) | NodeKind::Compare(..) => {
            Err(source.error(node.start, Found::Condition, Expected::Value, None))
        }
    }
}

fn no_sum(source: Source<'_>, at: usize, left: Type, sign: Sign, right: Type) -> Failure {
    let expected = match sign {
        Sign::Plus => Expected::Addable,
        Sign::Minus => Expected::Subtractable,
    };
    let is_timed = |side| matches!(side, Type::Timestamp | Type::Duration);
    let is_seconds = (is_timed(left) && right == Type::Number) || (left == Type::Number && is_timed(right));
    let fix = is_seconds.then_some(Fix::Seconds);
    source.error(at, Found::Sum(left, sign, right), expected, fix)
}
