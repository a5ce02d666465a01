//! From the tree to a program: tests, each with the one that follows where it holds and where it does not.
//!
//! AND, OR and NOT are not left in it: they are where the tests lead. A test leads to earlier ones only, so a
//! program ends.

mod range;
mod source;
pub(crate) mod test;

use crate::expr::{Comparison, Expr, Literal, Operand, Path};
use crate::field::Field;
use crate::time::parse_timestamp;
use crate::value;

pub(crate) use range::{NumberRange, TimeRange};
pub(crate) use source::{Source, computed};

/// A compiled filter.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) steps: Box<[Step]>,
    /// Where it begins.
    pub(crate) entry: Target,
    /// What it reads, each once.
    pub(crate) fields: Box<[Field]>,
    /// Whether each of `fields` is read after the change, and before.
    pub(crate) reads: Box<[Reads]>,
}

/// When a field is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    pub(crate) after: bool,
    pub(crate) before: bool,
}

/// A test, and what follows it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) test: Test,
    /// Where it holds.
    pub(crate) yes: Target,
    /// Where it does not.
    pub(crate) no: Target,
}

/// The index of a step, or an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target(pub(crate) u32);

impl Target {
    /// The filter holds.
    pub(crate) const MATCH: Self = Self(u32::MAX);
    /// It does not.
    pub(crate) const NO_MATCH: Self = Self(u32::MAX - 1);
}

/// A field, after the change or before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index among the program's fields.
    pub(crate) field: u32,
    pub(crate) previous: bool,
}

/// What a step asks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    /// Neither absent nor false.
    Truth(Place),
    /// A number in a range.
    Number(Place, NumberRange),
    /// A time, or a text that says one, in a range.
    Time(Place, TimeRange),
    /// This text.
    Text(Place, Box<str>),
    /// Any other comparison.
    Compare(Box<(Source, Comparison, Source)>),
}

impl Program {
    pub(crate) fn new(filter: &Expr) -> Self {
        let mut compiler = Compiler::default();
        compiler.note_fields(filter);
        let entry = compiler.lower(filter, Target::MATCH, Target::NO_MATCH);
        Self {
            steps: compiler.steps.into(),
            entry,
            fields: compiler.fields.into(),
            reads: compiler.reads.into(),
        }
    }
}

/// A condition without AND, OR and NOT in it.
enum Leaf {
    Constant(bool),
    Test(Test),
    /// A test that must fail.
    Inverse(Test),
}

#[derive(Default)]
struct Compiler {
    steps: Vec<Step>,
    fields: Vec<Field>,
    reads: Vec<Reads>,
}

impl Compiler {
    /// Notes the fields in the order of the text, in which steps are not made.
    fn note_fields(&mut self, expr: &Expr) {
        match expr {
            Expr::Or(operands) | Expr::And(operands) => operands.iter().for_each(|it| self.note_fields(it)),
            Expr::Not(operand) => self.note_fields(operand),
            Expr::Compare { left, right, .. } => {
                self.note_operand(left);
                self.note_operand(right);
            }
            Expr::Truth(path) => drop(self.place(path)),
        }
    }

    fn note_operand(&mut self, operand: &Operand) {
        match operand {
            Operand::Path(path) => drop(self.place(path)),
            Operand::Literal(_) => {}
            Operand::Sum { first, rest } => {
                self.note_operand(first);
                rest.iter().for_each(|(_, term)| self.note_operand(term));
            }
        }
    }

    /// Adds the steps of `expr`, which lead to `yes` or `no`; returns the first of them.
    fn lower(&mut self, expr: &Expr, yes: Target, no: Target) -> Target {
        match expr {
            // Back to front: what follows a step must be known.
            Expr::Or(operands) => {
                let back_to_front = operands.iter().rev();
                back_to_front.fold(no, |next, operand| self.lower(operand, yes, next))
            }
            Expr::And(operands) => self.all(operands, yes, no),
            Expr::Not(operand) => self.lower(operand, no, yes),
            Expr::Compare {
                left,
                comparison,
                right,
            } => {
                let leaf = self.compare(left, *comparison, right);
                self.leaf(leaf, yes, no)
            }
            Expr::Truth(path) => {
                let test = Test::Truth(self.place(path));
                self.leaf(Leaf::Test(test), yes, no)
            }
        }
    }

    /// `operands` joined with AND; ranges of one field become one test.
    fn all(&mut self, operands: &[Expr], yes: Target, no: Target) -> Target {
        enum Part<'e> {
            Leaf(Leaf),
            Expr(&'e Expr),
        }
        let mut parts: Vec<Part<'_>> = Vec::with_capacity(operands.len());
        for operand in operands {
            let Expr::Compare {
                left,
                comparison,
                right,
            } = operand
            else {
                parts.push(Part::Expr(operand));
                continue;
            };
            let leaf = self.compare(left, *comparison, right);
            let mut earlier = parts.iter_mut().filter_map(|part| match part {
                Part::Leaf(Leaf::Test(test)) => Some(test),
                Part::Leaf(_) | Part::Expr(_) => None,
            });
            let is_merged = match &leaf {
                Leaf::Test(test) => earlier.any(|known| known.narrow(test)),
                Leaf::Constant(_) | Leaf::Inverse(_) => false,
            };
            if !is_merged {
                parts.push(Part::Leaf(leaf));
            }
        }
        parts.into_iter().rev().fold(yes, |next, part| match part {
            Part::Leaf(leaf) => self.leaf(leaf, next, no),
            Part::Expr(expr) => self.lower(expr, next, no),
        })
    }

    fn leaf(&mut self, leaf: Leaf, yes: Target, no: Target) -> Target {
        let (test, yes, no) = match leaf {
            Leaf::Constant(holds) => return if holds { yes } else { no },
            Leaf::Test(test) if test.is_never() => return no,
            Leaf::Inverse(test) if test.is_never() => return yes,
            Leaf::Test(test) => (test, yes, no),
            Leaf::Inverse(test) => (test, no, yes),
        };
        if yes == no {
            return yes;
        }
        self.steps.push(Step { test, yes, no });
        // A filter has fewer steps than bytes, and a text of 4 GiB has no filter.
        Target(u32::try_from(self.steps.len() - 1).unwrap_or(Target::NO_MATCH.0))
    }

    fn compare(&mut self, left: &Operand, comparison: Comparison, right: &Operand) -> Leaf {
        let (left, right) = (self.source(left), self.source(right));
        match (left, right) {
            (Source::Field(place), Source::Literal(literal)) => constant(place, comparison, literal),
            (Source::Literal(literal), Source::Field(place)) => {
                constant(place, comparison.mirrored(), literal)
            }
            (left, right) => match (left.constant(), right.constant()) {
                (Some(left), Some(right)) => Leaf::Constant(value::compare(left, comparison, right)),
                _ => Leaf::Test(Test::Compare(Box::new((left, comparison, right)))),
            },
        }
    }

    fn source(&mut self, operand: &Operand) -> Source {
        match operand {
            Operand::Path(path) => Source::Field(self.place(path)),
            Operand::Literal(literal) => Source::Literal(literal.clone()),
            Operand::Sum { first, rest } => {
                let first = self.source(first);
                let rest: Vec<_> = rest
                    .iter()
                    .map(|(sign, term)| (*sign, self.source(term)))
                    .collect();
                Source::sum(first, rest)
            }
        }
    }

    fn place(&mut self, path: &Path) -> Place {
        let field = Field::of(&path.names);
        let known = self.fields.iter().position(|known| *known == field);
        let index = known.unwrap_or_else(|| {
            self.fields.push(field);
            self.reads.push(Reads::default());
            self.fields.len() - 1
        });
        if path.previous {
            self.reads[index].before = true;
        } else {
            self.reads[index].after = true;
        }
        Place {
            field: u32::try_from(index).unwrap_or(u32::MAX),
            previous: path.previous,
        }
    }
}

/// A field compared with a literal.
fn constant(place: Place, comparison: Comparison, literal: Literal) -> Leaf {
    let is_inverse = comparison == Comparison::NotEqual;
    // What differs is what is not equal, of whatever type.
    let comparison = if is_inverse { Comparison::Equal } else { comparison };
    let test = match literal {
        Literal::Integer(_) | Literal::Float(_) | Literal::Duration(_) => {
            match NumberRange::of(comparison, &literal) {
                Some(range) => Test::Number(place, range),
                None => return Leaf::Constant(is_inverse),
            }
        }
        Literal::Timestamp(at) => match TimeRange::of(comparison, at) {
            Some(range) => Test::Time(place, range),
            None => return Leaf::Constant(is_inverse),
        },
        // A text that says a time equals times too.
        Literal::Text(text) if comparison == Comparison::Equal && parse_timestamp(&text).is_none() => {
            Test::Text(place, text)
        }
        Literal::Text(_) => {
            let sides = (Source::Field(place), comparison, Source::Literal(literal));
            Test::Compare(Box::new(sides))
        }
    };
    if is_inverse {
        Leaf::Inverse(test)
    } else {
        Leaf::Test(test)
    }
}
