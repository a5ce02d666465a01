//! A filter as it was meant: its syntax tree after types.

mod print;

pub(crate) use print::quoted;

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// Any of them holds; at least two.
    Or(Vec<Expr>),
    /// All of them hold; at least two.
    And(Vec<Expr>),
    /// It does not hold.
    Not(Box<Expr>),
    /// Two values compared.
    Compare {
        /// On the left.
        left: Operand,
        /// How.
        comparison: Comparison,
        /// On the right.
        right: Operand,
    },
    /// A value that is there and neither null nor false.
    Truth(Path),
}

/// Something to compare.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// Of a device.
    Path(Path),
    /// Written out.
    Literal(Literal),
    /// A sum, from left to right.
    Sum {
        /// The first term.
        first: Box<Operand>,
        /// What is added and subtracted; at least one.
        rest: Vec<(Sign, Operand)>,
    },
}

/// A place in a device document, as the filter names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// `@`: as it was before the change.
    pub previous: bool,
    /// At least one.
    pub names: Vec<Box<str>>,
}

/// A value written out.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A whole number.
    Integer(i64),
    /// A number with a fraction; finite.
    Float(f64),
    /// A text.
    Text(Box<str>),
    /// Microseconds since the Unix epoch, within the years 0 to 9999.
    Timestamp(i64),
    /// Seconds; what microseconds of 63 bits can say, not negative.
    Duration(i64),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

impl Comparison {
    /// The one that says the same with its sides exchanged.
    #[must_use]
    pub const fn mirrored(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::NotEqual => Self::NotEqual,
            Self::Less => Self::Greater,
            Self::AtMost => Self::AtLeast,
            Self::Greater => Self::Less,
            Self::AtLeast => Self::AtMost,
        }
    }
}

/// What joins the terms of a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// `+`
    Plus,
    /// `-`
    Minus,
}
