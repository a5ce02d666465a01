//! What an expression ends in: paths and literals.

use super::{Node, NodeKind, Parser};
use crate::error::{Expected, Failure, Fix, Found};
use crate::expr::{Literal, Path};
use crate::lexer::{self, Kind, Token};

impl Parser<'_> {
    pub(super) fn path(&mut self, expected: Expected) -> Result<Node, Failure> {
        let start = self.next.start;
        let previous = self.next.kind == Kind::At;
        if previous {
            if !self.limits.previous {
                return Err(self.unexpected(Expected::Current, Some(Fix::OnlyOnStreams)));
            }
            self.advance()?;
        }
        let first = self.name(None)?;
        if let Kind::Name { name, quoted: false } = &first.kind
            && self.next.kind != Kind::Dot
            && let Some(fix) = lexer::constant(name)
        {
            return Err(self.source.wrong(first.start, first.end, expected, Some(fix)));
        }
        let mut end = first.end;
        let mut names = Vec::new();
        let mut token = first;
        loop {
            if let Kind::Name { name, .. } = token.kind {
                names.push(name);
            }
            if names.len() > self.limits.names_max {
                let expected = Expected::NamesMax(self.limits.names_max);
                return Err(self
                    .source
                    .error(token.start, Found::Names(names.len()), expected, None));
            }
            if self.next.kind != Kind::Dot {
                break;
            }
            self.advance()?;
            token = self.name(Some(Fix::AtFirst))?;
            end = token.end;
        }
        let kind = NodeKind::Path(Path { previous, names });
        Ok(Node { kind, start, end })
    }

    /// A name; `at_fix` if it is an `@` instead.
    fn name(&mut self, at_fix: Option<Fix>) -> Result<Token, Failure> {
        match self.next.kind {
            Kind::Name { .. } => self.advance(),
            Kind::At => Err(self.unexpected(Expected::Name, at_fix)),
            Kind::And | Kind::Or | Kind::Not => {
                let word = &self.source.0[self.next.start..self.next.end];
                let fix = Fix::Backquotes(format!("`{word}`").into());
                Err(self.unexpected(Expected::Name, Some(fix)))
            }
            _ => Err(self.unexpected(Expected::Name, None)),
        }
    }

    /// A literal, with the minus sign before it, if any.
    pub(super) fn literal(&mut self, minus: Option<usize>) -> Result<Node, Failure> {
        const LEAST: u64 = i64::MIN.unsigned_abs();
        let literal = match (&self.next.kind, minus) {
            (Kind::Integer(LEAST), Some(_)) => Literal::Integer(i64::MIN),
            (Kind::Integer(size), _) => match i64::try_from(*size) {
                Ok(value) if minus.is_some() => Literal::Integer(-value),
                Ok(value) => Literal::Integer(value),
                Err(_) => return Err(self.unexpected(Expected::SmallerNumber, Some(Fix::Fraction))),
            },
            (Kind::Literal(Literal::Float(value)), Some(_)) => Literal::Float(-value),
            (Kind::Literal(literal), None) => literal.clone(),
            _ => return Err(self.unexpected(Expected::Number, Some(Fix::NoSign))),
        };
        let token = self.advance()?;
        Ok(Node {
            kind: NodeKind::Literal(literal),
            start: minus.unwrap_or(token.start),
            end: token.end,
        })
    }
}
