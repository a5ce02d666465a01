//! What to write instead.

use std::fmt;

/// What was probably meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fix {
    /// `==`, `===`, `:`, `is`.
    Equality,
    /// `<>`, `!==`, `≠`.
    Inequality,
    /// `=>`, `≥`.
    AtLeast,
    /// `=<`, `≤`.
    AtMost,
    /// `&&`.
    And,
    /// `||`.
    Or,
    /// `!`.
    Not,
    /// `true`.
    True,
    /// `false`.
    False,
    /// `null`.
    Null,
    /// `'text'`.
    DoubleQuotes,
    /// `“text”`.
    StraightQuotes,
    /// A dash that is no minus sign.
    Minus,
    /// A space that is none of ASCII.
    PlainSpace,
    /// `*`, `/`, `%`.
    OnlySums,
    /// `in`.
    In,
    /// `between`.
    Between,
    /// `like`, `contains`.
    NoPatterns,
    /// `1 < x < 5`.
    TwoComparisons,
    /// `5 and x`: a value alone.
    CompareIt,
    /// A name that is none without backquotes: it, in backquotes.
    Backquotes(Box<str>),
    /// `a.@b`.
    AtFirst,
    /// A text or name that is not closed, begun at this column.
    CloseQuote(usize),
    /// A parenthesis that is not closed, opened at this column.
    CloseParenthesis(usize),
    /// `)` that closes nothing.
    NotOpen,
    /// `-5m`, `- x`.
    NoSign,
    /// `1e5`.
    NoExponent,
    /// `1_000`.
    OnlyDigits,
    /// `1.5h`.
    WholeUnits,
    /// `.5`, `5.`.
    DigitsBothSides,
    /// `2025-05-01`.
    WholeTime,
    /// `2025-02-30T00:00:00Z`.
    NoSuchTime,
    /// `update_time + 300`.
    Seconds,
    /// A whole number beyond 64 bits.
    Fraction,
    /// `@` where nothing changes.
    OnlyOnStreams,
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Backquotes(name) => return write!(f, "write this name in backquotes: {name}"),
            Self::CloseQuote(column) => return write!(f, "close what begins at column {column}"),
            Self::CloseParenthesis(column) => {
                return write!(f, "close the parenthesis of column {column}");
            }
            Self::Equality => "use = for equality",
            Self::Inequality => "use != for inequality",
            Self::AtLeast => "use >=",
            Self::AtMost => "use <=",
            Self::And => "use AND",
            Self::Or => "use OR",
            Self::Not => "use NOT",
            Self::True => "name the field alone: there are no boolean literals",
            Self::False => "put NOT before the field: there are no boolean literals",
            Self::Null => "put NOT before the field: that holds where it is null, missing or false",
            Self::DoubleQuotes => "use double quotes for texts",
            Self::StraightQuotes => "use straight double quotes: \"",
            Self::Minus => "use the minus sign -",
            Self::PlainSpace => "use a plain space",
            Self::OnlySums => "there are only + and -",
            Self::In => "write one comparison for each value, joined with OR",
            Self::Between => "write x >= 1 AND x <= 5",
            Self::NoPatterns => "texts are compared whole: there are no patterns",
            Self::TwoComparisons => "write two comparisons, joined with AND",
            Self::CompareIt => "a value alone is no condition: compare it with another",
            Self::AtFirst => "@ stands before the first name: @a.b",
            Self::NotOpen => "no parenthesis is open here",
            Self::NoSign => "only a number has a sign: subtract instead",
            Self::NoExponent => "write the number out, without an exponent",
            Self::OnlyDigits => "write digits only",
            Self::WholeUnits => "use whole numbers of smaller units: 1h30m",
            Self::DigitsBothSides => "write digits on both sides of the point: 0.5",
            Self::WholeTime => "write date, time and zone: 2025-05-01T00:00:00Z",
            Self::NoSuchTime => "the calendar has no such day, or the day no such time",
            Self::Seconds => "a number is no duration in a sum: write 300s or 5m",
            Self::Fraction => "write it with a fraction, as in 10.0",
            Self::OnlyOnStreams => "only a stream of changes has values from before",
        };
        f.write_str(text)
    }
}
