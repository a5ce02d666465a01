//! What a filter means, written down a second time: a walk over the tree and JSON, as plain as can be, that
//! shares nothing with the compiled evaluation but the tree.

#![expect(clippy::wildcard_enum_match_arm, reason = "what is not named has no meaning")]

use std::cmp::Ordering;

use query::{Comparison, Expr, Literal, Operand, Path, Sign};
use serde_json::Value as Json;

/// The members of a document's head.
const HEAD: &[&str] = &[
    "id",
    "tenant",
    "name",
    "type",
    "site_id",
    "tags",
    "attributes",
    "status",
    "connected",
    "connected_since",
    "created_at",
    "updated_at",
    "last_seen_at",
    "location",
    "lock",
    "entities",
    "commands",
    "alerts",
    "fields",
    "version",
];
const TIMES: &[&str] = &["connected_since", "created_at", "updated_at", "last_seen_at"];

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Absent,
    Container,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// Microseconds.
    Time(i64),
    /// Microseconds.
    Duration(i64),
    /// No sum.
    Invalid,
}
use Value::{Absent, Boolean, Container, Duration, Float, Integer, Invalid, Text, Time};

/// Whether `expr` holds of a change from `before` to `after`.
pub(crate) fn holds(expr: &Expr, before: &Json, after: &Json) -> bool {
    match expr {
        Expr::Or(operands) => operands.iter().any(|operand| holds(operand, before, after)),
        Expr::And(operands) => operands.iter().all(|operand| holds(operand, before, after)),
        Expr::Not(operand) => !holds(operand, before, after),
        Expr::Truth(path) => !matches!(look_up(path, before, after), Absent | Boolean(false)),
        Expr::Compare {
            left,
            comparison,
            right,
        } => {
            let (left, right) = (operand(left, before, after), operand(right, before, after));
            if left == Invalid || right == Invalid {
                return false;
            }
            let order = order(&left, &right);
            let equal = order == Some(Ordering::Equal)
                || matches!((&left, &right), (Boolean(left), Boolean(right)) if left == right);
            match comparison {
                Comparison::Equal => equal,
                Comparison::NotEqual => !equal,
                Comparison::Less => order == Some(Ordering::Less),
                Comparison::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                Comparison::Greater => order == Some(Ordering::Greater),
                Comparison::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            }
        }
    }
}

fn look_up(path: &Path, before: &Json, after: &Json) -> Value {
    let document = if path.previous { before } else { after };
    let mut names: Vec<&str> = path.names.iter().map(|name| &**name).collect();
    if names[0] == "update_time" {
        names[0] = "updated_at";
    }
    if !HEAD.contains(&names[0]) {
        names.insert(0, "fields");
    }
    let mut value = document;
    for name in &names {
        value = value.get(name).unwrap_or(&Json::Null);
    }
    match value {
        Json::Null => Absent,
        Json::Bool(value) => Boolean(*value),
        Json::Number(number) if number.is_i64() => Integer(number.as_i64().expect("64 bits")),
        Json::Number(number) => Float(number.as_f64().expect("a double")),
        Json::String(text) if names.len() == 1 && TIMES.contains(&names[0]) => {
            time_in(text).map_or(Absent, Time)
        }
        Json::String(text) => Text(text.clone()),
        Json::Array(_) | Json::Object(_) => Container,
    }
}

fn operand(it: &Operand, before: &Json, after: &Json) -> Value {
    match it {
        Operand::Path(path) => match look_up(path, before, after) {
            Container => Absent,
            value => value,
        },
        Operand::Literal(Literal::Integer(value)) => Integer(*value),
        Operand::Literal(Literal::Float(value)) => Float(*value),
        Operand::Literal(Literal::Text(text)) => Text(text.to_string()),
        Operand::Literal(Literal::Timestamp(at)) => Time(*at),
        Operand::Literal(Literal::Duration(seconds)) => Duration(seconds * 1_000_000),
        Operand::Sum { first, rest } => {
            let mut sum = operand(first, before, after);
            for (sign, term) in rest {
                sum = add(sum, *sign, operand(term, before, after));
            }
            sum
        }
    }
}

fn add(left: Value, sign: Sign, right: Value) -> Value {
    if left == Invalid || right == Invalid {
        return Invalid;
    }
    if left == Absent || right == Absent {
        return Absent;
    }
    let is_plus = sign == Sign::Plus;
    let whole = |left: i64, right: i64| {
        let (left, right) = (i128::from(left), i128::from(right));
        i64::try_from(if is_plus { left + right } else { left - right }).ok()
    };
    if let (Integer(left), Integer(right)) = (&left, &right) {
        return whole(*left, *right).map_or(Invalid, Integer);
    }
    if let (Some(left), Some(right)) = (double(&left), double(&right)) {
        let sum = if is_plus { left + right } else { left - right };
        return if sum.is_finite() { Float(sum) } else { Invalid };
    }
    match (time_of(&left), &left, time_of(&right), &right) {
        (_, Duration(left), _, Duration(right)) => whole(*left, *right).map_or(Invalid, Duration),
        (Some(at), _, _, Duration(length)) => whole(at, *length).map_or(Invalid, Time),
        (_, Duration(length), Some(at), _) if is_plus => whole(*length, at).map_or(Invalid, Time),
        (Some(left), _, Some(right), _) if !is_plus => whole(left, right).map_or(Invalid, Duration),
        _ => Invalid,
    }
}

fn double(value: &Value) -> Option<f64> {
    match value {
        Integer(value) => Some(*value as f64),
        Float(value) => Some(*value),
        _ => None,
    }
}

fn time_of(value: &Value) -> Option<i64> {
    match value {
        Time(at) => Some(*at),
        Text(text) => time_in(text),
        _ => None,
    }
}

/// The form is checked here, the rest is a library's.
pub(crate) fn time_in(text: &str) -> Option<i64> {
    let form: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    let clock = form
        .strip_prefix("0000-00-00")
        .and_then(|rest| rest.strip_prefix(['T', 't']))?;
    let rest = clock.strip_prefix("00:00:00")?;
    let zone = match rest.strip_prefix(".0") {
        Some(fraction) => fraction.trim_start_matches('0'),
        None => rest,
    };
    if !matches!(zone, "Z" | "z" | "+00:00" | "-00:00") {
        return None;
    }
    // The library takes any two digits, the RFC the hours of a day.
    let hours = &text[text.len() - zone.len()..];
    if hours.len() == 6 && hours[1..3].parse::<u8>().expect("digits") > 23 {
        return None;
    }
    let at = text.parse::<jiff::Timestamp>().ok()?;
    let year_0: jiff::Timestamp = "0000-01-01T00:00:00Z".parse().expect("a time");
    // Digits beyond microseconds are cut, not rounded towards 1970.
    (at >= year_0).then(|| i64::try_from(at.as_nanosecond().div_euclid(1_000)).expect("in range"))
}

fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Integer(left), Integer(right)) => Some(left.cmp(right)),
        (Float(left), Float(right)) => left.partial_cmp(right),
        (Integer(left), Float(right)) => Some(exact(*left, *right)),
        (Float(left), Integer(right)) => Some(exact(*right, *left).reverse()),
        (Text(left), Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        (Duration(left), Duration(right)) => Some(left.cmp(right)),
        (Duration(left), Integer(right)) => Some(i128::from(*left).cmp(&(i128::from(*right) * 1_000_000))),
        (Integer(_), Duration(_)) => order(right, left).map(Ordering::reverse),
        (Duration(left), Float(right)) => (*left as f64 / 1e6).partial_cmp(right),
        (Float(_), Duration(_)) => order(right, left).map(Ordering::reverse),
        (Time(left), Time(right)) => Some(left.cmp(right)),
        (Time(left), Text(right)) => Some(left.cmp(&time_in(right)?)),
        (Text(left), Time(right)) => Some(time_in(left)?.cmp(right)),
        _ => None,
    }
}

/// A whole number against a finite one with a fraction.
fn exact(whole: i64, float: f64) -> Ordering {
    let floor = float.floor();
    match i128::from(whole).cmp(&(floor as i128)) {
        Ordering::Equal if float > floor => Ordering::Less,
        ordering => ordering,
    }
}
