//! What a filter says of a device whatever else holds, so that an index can leave the others out.

use std::collections::{BTreeMap, BTreeSet};

use crate::expr::{Comparison, Expr, Literal, Operand, Path};
use crate::field::{Field, Head};
use crate::time::parse_timestamp;

/// Texts that a matching device must have, after the change: where it has another, or none, the filter does
/// not hold. Necessary, not sufficient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexHint {
    /// For each place the texts of which it holds exactly one. No text at all: nothing matches.
    texts: BTreeMap<Field, BTreeSet<Box<str>>>,
}

impl IndexHint {
    /// What `filter` implies.
    #[must_use]
    pub fn of(filter: &Expr) -> Self {
        implied(filter, true)
    }

    /// The ids of which a matching device has one; `None` if it may be any.
    #[must_use]
    pub fn devices(&self) -> Option<&BTreeSet<Box<str>>> {
        self.head(Head::Id)
    }

    /// The tenants of which a matching device has one; `None` if it may be any.
    #[must_use]
    pub fn tenants(&self) -> Option<&BTreeSet<Box<str>>> {
        self.head(Head::Tenant)
    }

    /// Every place of which the texts are known, and they.
    pub fn texts(&self) -> impl Iterator<Item = (&Field, &BTreeSet<Box<str>>)> {
        self.texts.iter()
    }

    /// Whether the filter contradicts itself, so that no device matches.
    #[must_use]
    pub fn is_never(&self) -> bool {
        self.texts.values().any(BTreeSet::is_empty)
    }

    /// Whether nothing is known: every change must be looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    fn head(&self, head: Head) -> Option<&BTreeSet<Box<str>>> {
        let mut members = self.texts.iter();
        members.find_map(|(field, texts)| (field.head() == head && field.names().is_empty()).then_some(texts))
    }

    /// Where both hold.
    fn and(mut self, other: Self) -> Self {
        for (field, texts) in other.texts {
            match self.texts.get_mut(&field) {
                Some(known) => known.retain(|text| texts.contains(text)),
                None => drop(self.texts.insert(field, texts)),
            }
        }
        self
    }

    /// Where one of them holds. One that never does adds nothing.
    fn or(mut self, mut other: Self) -> Self {
        if self.is_never() {
            return other;
        }
        if other.is_never() {
            return self;
        }
        self.texts.retain(|field, texts| match other.texts.remove(field) {
            Some(more) => {
                texts.extend(more);
                true
            }
            None => false,
        });
        self
    }
}

/// What is implied by `filter` being `wanted`.
fn implied(filter: &Expr, wanted: bool) -> IndexHint {
    let all = |operands: &[Expr]| {
        let hints = operands.iter().map(|operand| implied(operand, wanted));
        hints.reduce(IndexHint::and).unwrap_or_default()
    };
    let any = |operands: &[Expr]| {
        let hints = operands.iter().map(|operand| implied(operand, wanted));
        hints.reduce(IndexHint::or).unwrap_or_default()
    };
    match filter {
        Expr::And(operands) if wanted => all(operands),
        Expr::And(operands) => any(operands),
        Expr::Or(operands) if wanted => any(operands),
        Expr::Or(operands) => all(operands),
        Expr::Not(operand) => implied(operand, !wanted),
        Expr::Compare {
            left,
            comparison,
            right,
        } => {
            // Not to differ is to be equal; any other comparison that fails says nothing.
            let equality = if wanted {
                Comparison::Equal
            } else {
                Comparison::NotEqual
            };
            match (left, right) {
                (Operand::Path(path), Operand::Literal(literal))
                | (Operand::Literal(literal), Operand::Path(path))
                    if *comparison == equality =>
                {
                    equal(path, literal)
                }
                _ => IndexHint::default(),
            }
        }
        Expr::Truth(_) => IndexHint::default(),
    }
}

fn equal(path: &Path, literal: &Literal) -> IndexHint {
    match literal {
        // A text that says a time equals times too.
        Literal::Text(text) if !path.previous && parse_timestamp(text).is_none() => IndexHint {
            texts: BTreeMap::from([(Field::of(&path.names), BTreeSet::from([text.clone()]))]),
        },
        Literal::Text(_)
        | Literal::Integer(_)
        | Literal::Float(_)
        | Literal::Timestamp(_)
        | Literal::Duration(_) => IndexHint::default(),
    }
}
