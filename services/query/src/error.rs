//! Why a text is no filter: where, what stands there, what should, and what to write instead.

mod fix;

use std::fmt;

use crate::expr::Sign;
use crate::types::Type;

pub use fix::Fix;

/// Characters of the filter that an error repeats.
const SHOWN_MAX: usize = 40;

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Where, in characters from 1; one more than the filter has where something is missing at its end.
    pub column: usize,
    /// What stands there.
    pub found: Found,
    /// What could stand there.
    pub expected: Expected,
    /// What was probably meant.
    pub fix: Option<Fix>,
}

/// Boxed on its way out: the parser's frames are many, and should be small.
pub(crate) type Failure = Box<ParseError>;

impl std::error::Error for ParseError {}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            column,
            found,
            expected,
            fix,
        } = self;
        write!(f, "column {column}: found {found}, expected {expected}")?;
        match fix {
            Some(fix) => write!(f, "; {fix}"),
            None => Ok(()),
        }
    }
}

/// What stands where something else should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing more.
    End,
    /// A piece of the filter, shortened.
    Source(Box<str>),
    /// A whole condition.
    Condition,
    /// Two operands that have no sum.
    Sum(Type, Sign, Type),
    /// So many bytes.
    Bytes(usize),
    /// Nesting this deep.
    Depth(usize),
    /// A path of so many names.
    Names(usize),
}

impl Found {
    pub(crate) fn source(text: &str) -> Self {
        match text.char_indices().nth(SHOWN_MAX) {
            None => Self::Source(text.into()),
            Some((end, _)) => Self::Source(format!("{}…", &text[..end]).into()),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("the end"),
            // What an error repeats must not break a line of a log.
            Self::Source(text) if text.contains(|c: char| c.is_control()) => {
                write!(f, "'{}'", text.escape_debug())
            }
            Self::Source(text) => write!(f, "'{text}'"),
            Self::Condition => f.write_str("a condition"),
            Self::Sum(left, sign, right) => write!(f, "{left} {sign} {right}"),
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
            Self::Depth(depth) => write!(f, "{depth} levels of parentheses and NOTs"),
            Self::Names(names) => write!(f, "a path of {names} names"),
        }
    }
}

/// What could stand at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// A field alone, a comparison, NOT or a parenthesis.
    Condition,
    /// Something to compare or to add.
    Value,
    /// What may follow a value.
    Operator {
        /// Within parentheses.
        open: bool,
    },
    /// What may follow a whole condition.
    Connective {
        /// Within parentheses.
        open: bool,
    },
    /// A name of a field.
    Name,
    /// The quote that closes a text.
    Quote,
    /// The quote that closes a name.
    Backquote,
    /// What may follow a backslash: this quote, or a backslash.
    Escaped(char),
    /// A number written as numbers are.
    Number,
    /// A number of 64 bits.
    SmallerNumber,
    /// A duration written as durations are.
    Duration,
    /// A duration of at most 292,000 years.
    ShorterDuration,
    /// A time written as times are.
    Time,
    /// Operands that have a sum.
    Addable,
    /// Operands that have a difference.
    Subtractable,
    /// A field as it is now.
    Current,
    /// A shorter filter.
    BytesMax(usize),
    /// Less nesting.
    DepthMax(usize),
    /// A shorter path.
    NamesMax(usize),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_end = |open: &bool| if *open { "or )" } else { "or the end" };
        match self {
            Self::Condition => f.write_str("a condition (a field, a comparison, NOT or a parenthesis)"),
            Self::Value => f.write_str("a value (a field, a number, a \"text\", a time or a duration)"),
            Self::Operator { open } => {
                write!(f, "an operator (= != < <= > >= + - AND OR) {}", or_end(open))
            }
            Self::Connective { open } => write!(f, "AND, OR {}", or_end(open)),
            Self::Name => f.write_str("a name"),
            Self::Quote => f.write_str("a closing \""),
            Self::Backquote => f.write_str("a closing `"),
            Self::Escaped(quote) => write!(f, "\\{quote} or \\\\"),
            Self::Number => f.write_str("a number such as 12 or 0.5"),
            Self::SmallerNumber => f.write_str("a number of 64 bits"),
            Self::Duration => f.write_str("a duration such as 5h, 1h6m or 1d2h (units: d, h, m, s)"),
            Self::ShorterDuration => f.write_str("a duration of less than 292,000 years"),
            Self::Time => f.write_str("a time such as 2025-05-01T00:00:00Z"),
            Self::Addable => f.write_str("two numbers, two durations, or a time and a duration"),
            Self::Subtractable => {
                f.write_str("two numbers, two durations, two times, or a time and a duration")
            }
            Self::Current => f.write_str("a field without @"),
            Self::BytesMax(max) => write!(f, "at most {max} bytes"),
            Self::DepthMax(max) => write!(f, "at most {max}"),
            Self::NamesMax(max) => write!(f, "at most {max}"),
        }
    }
}

/// A text under analysis: turns positions into columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'t>(pub(crate) &'t str);

impl Source<'_> {
    /// Column of the byte at `at`.
    pub(crate) fn column(self, at: usize) -> usize {
        self.0[..at].chars().count() + 1
    }

    /// An error at byte `at`.
    pub(crate) fn error(self, at: usize, found: Found, expected: Expected, fix: Option<Fix>) -> Failure {
        Box::new(ParseError {
            column: self.column(at),
            found,
            expected,
            fix,
        })
    }

    /// An error about what stands from `start` to `end`; nothing there is the end.
    pub(crate) fn wrong(self, start: usize, end: usize, expected: Expected, fix: Option<Fix>) -> Failure {
        let found = match &self.0[start..end] {
            "" => Found::End,
            text => Found::source(text),
        };
        self.error(start, found, expected, fix)
    }
}
