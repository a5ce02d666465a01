//! From tokens to a tree: one pass of a Pratt parser, without backtracking.
//!
//! Conditions and values share one grammar here, so that nobody has to know in advance what a parenthesis
//! holds; which of them a node may be is the business of types.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a parser names the tokens that can follow; every other one is an error"
)]

mod term;

use crate::error::{Expected, Failure, Fix, Found, Source};
use crate::expr::{Comparison, Literal, Path, Sign};
use crate::lexer::{self, Kind, Lexer, Token};
use crate::limits::Limits;

/// A part of the filter.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    /// Its first byte.
    pub(crate) start: usize,
    /// The byte after its last.
    pub(crate) end: usize,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum NodeKind {
    Or(Vec<Node>),
    And(Vec<Node>),
    Not(Box<Node>),
    Compare(Box<(Node, Node)>, Comparison),
    Sum {
        first: Box<Node>,
        /// With the byte at which the sign stands.
        rest: Vec<(Sign, usize, Node)>,
    },
    Path(Path),
    Literal(Literal),
}

impl Node {
    fn is_value(&self) -> bool {
        matches!(
            self.kind,
            NodeKind::Sum { .. } | NodeKind::Path(_) | NodeKind::Literal(_)
        )
    }
}

/// How tightly an operator binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Power {
    Least,
    Or,
    And,
    Not,
    Compare,
    Sum,
}

/// Parses a whole text.
pub(crate) fn parse(source: Source<'_>, limits: &Limits) -> Result<Node, Failure> {
    let length = source.0.len();
    if length > limits.bytes_max {
        let at = (0..=limits.bytes_max)
            .rfind(|at| source.0.is_char_boundary(*at))
            .unwrap_or(0);
        let expected = Expected::BytesMax(limits.bytes_max);
        return Err(source.error(at, Found::Bytes(length), expected, None));
    }
    let mut lexer = Lexer::new(source);
    let next = lexer.token()?;
    let mut parser = Parser {
        source,
        limits,
        lexer,
        next,
        depth: 0,
        open: 0,
    };
    let node = parser.expression(Power::Least)?;
    match parser.next.kind {
        Kind::End => Ok(node),
        _ => Err(parser.stray(&node)),
    }
}

struct Parser<'t> {
    source: Source<'t>,
    limits: &'t Limits,
    lexer: Lexer<'t>,
    /// The token that was read last, not yet used.
    next: Token,
    /// Parentheses and NOTs around the next token.
    depth: u8,
    /// Parentheses around the next token.
    open: u8,
}

impl Parser<'_> {
    /// Everything from here on that binds more tightly than `above`.
    fn expression(&mut self, above: Power) -> Result<Node, Failure> {
        let mut left = self.prefix(above)?;
        loop {
            left = match self.next.kind {
                Kind::Or if above < Power::Or => self.chain(left, Power::Or)?,
                Kind::And if above < Power::And => self.chain(left, Power::And)?,
                Kind::Compare(comparison) if above < Power::Compare => self.comparison(left, comparison)?,
                Kind::Sign(_) if above < Power::Sum => self.sum(left)?,
                _ => return Ok(left),
            };
        }
    }

    /// `left AND … AND …`, or the same with OR.
    fn chain(&mut self, left: Node, power: Power) -> Result<Node, Failure> {
        let start = left.start;
        let joint = self.next.kind.clone();
        let mut operands = vec![left];
        while self.next.kind == joint {
            self.advance()?;
            operands.push(self.expression(power)?);
        }
        let end = operands.last().map_or(start, |last| last.end);
        let kind = if power == Power::Or {
            NodeKind::Or(operands)
        } else {
            NodeKind::And(operands)
        };
        Ok(Node { kind, start, end })
    }

    fn comparison(&mut self, left: Node, comparison: Comparison) -> Result<Node, Failure> {
        self.advance()?;
        let right = self.expression(Power::Compare)?;
        if let Kind::Compare(_) = self.next.kind {
            let expected = Expected::Connective { open: self.open > 0 };
            return Err(self.unexpected(expected, Some(Fix::TwoComparisons)));
        }
        let (start, end) = (left.start, right.end);
        let kind = NodeKind::Compare(Box::new((left, right)), comparison);
        Ok(Node { kind, start, end })
    }

    fn sum(&mut self, first: Node) -> Result<Node, Failure> {
        let start = first.start;
        let mut end = first.end;
        let mut rest = Vec::new();
        while let Kind::Sign(sign) = self.next.kind {
            let at = self.next.start;
            self.advance()?;
            let term = self.expression(Power::Sum)?;
            end = term.end;
            rest.push((sign, at, term));
        }
        let first = Box::new(first);
        Ok(Node {
            kind: NodeKind::Sum { first, rest },
            start,
            end,
        })
    }

    /// What an expression begins with.
    fn prefix(&mut self, above: Power) -> Result<Node, Failure> {
        let expected = if above < Power::Compare {
            Expected::Condition
        } else {
            Expected::Value
        };
        match self.next.kind {
            Kind::Open => self.group(),
            Kind::Not if above < Power::Compare => self.negation(),
            Kind::At | Kind::Name { .. } => self.path(expected),
            Kind::Integer(_) | Kind::Literal(_) => self.literal(None),
            Kind::Sign(Sign::Minus) => {
                let minus = self.next.start;
                self.advance()?;
                self.literal(Some(minus))
            }
            Kind::Sign(Sign::Plus) => Err(self.unexpected(expected, Some(Fix::NoSign))),
            Kind::Close if self.open == 0 => Err(self.unexpected(expected, Some(Fix::NotOpen))),
            Kind::Dot if self.source.0[self.next.end..].starts_with(|next: char| next.is_ascii_digit()) => {
                Err(self.unexpected(expected, Some(Fix::DigitsBothSides)))
            }
            _ => Err(self.unexpected(expected, None)),
        }
    }

    fn group(&mut self) -> Result<Node, Failure> {
        let start = self.next.start;
        self.deepen()?;
        self.open += 1;
        self.advance()?;
        let inner = self.expression(Power::Least)?;
        match self.next.kind {
            Kind::Close => {}
            Kind::End => {
                let fix = Fix::CloseParenthesis(self.source.column(start));
                return Err(self.unexpected(self.after(&inner), Some(fix)));
            }
            _ => return Err(self.stray(&inner)),
        }
        let end = self.next.end;
        self.open -= 1;
        self.depth -= 1;
        self.advance()?;
        let kind = inner.kind;
        Ok(Node { kind, start, end })
    }

    fn negation(&mut self) -> Result<Node, Failure> {
        let start = self.next.start;
        self.deepen()?;
        self.advance()?;
        let inner = self.expression(Power::Not)?;
        self.depth -= 1;
        let end = inner.end;
        let kind = NodeKind::Not(Box::new(inner));
        Ok(Node { kind, start, end })
    }

    fn deepen(&mut self) -> Result<(), Failure> {
        if self.depth >= self.limits.depth_max {
            let found = Found::Depth(usize::from(self.depth) + 1);
            let expected = Expected::DepthMax(usize::from(self.limits.depth_max));
            return Err(self.source.error(self.next.start, found, expected, None));
        }
        self.depth += 1;
        Ok(())
    }

    /// Uses the next token.
    fn advance(&mut self) -> Result<Token, Failure> {
        let next = self.lexer.token()?;
        Ok(std::mem::replace(&mut self.next, next))
    }

    /// The error about the next token.
    fn unexpected(&self, expected: Expected, fix: Option<Fix>) -> Failure {
        let fix = match &self.next.kind {
            Kind::Slip(slip) => slip.clone(),
            _ => fix,
        };
        self.source
            .error(self.next.start, self.next.found(self.source), expected, fix)
    }

    /// The error about the next token, which cannot follow `node`.
    fn stray(&self, node: &Node) -> Failure {
        let fix = match &self.next.kind {
            Kind::Name { name, quoted: false } => lexer::word_operator(name),
            Kind::Close => Some(Fix::NotOpen),
            _ => None,
        };
        self.unexpected(self.after(node), fix)
    }

    /// What may follow `node`.
    fn after(&self, node: &Node) -> Expected {
        let open = self.open > 0;
        if node.is_value() {
            Expected::Operator { open }
        } else {
            Expected::Connective { open }
        }
    }
}
