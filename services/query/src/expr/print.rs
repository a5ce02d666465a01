//! Writing a filter so that reading it gives the same tree.

use std::fmt::{self, Display, Formatter, Write as _};

use super::{Comparison, Expr, Literal, Operand, Path, Sign};
use crate::lexer;
use crate::time;

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Or(operands) => join(f, operands, " or ", |operand| matches!(operand, Self::Or(_))),
            Self::And(operands) => join(f, operands, " and ", |operand| {
                matches!(operand, Self::Or(_) | Self::And(_))
            }),
            Self::Not(operand) => {
                f.write_str("not ")?;
                let is_group = !matches!(**operand, Self::Not(_) | Self::Truth(_));
                grouped(f, operand, is_group)
            }
            Self::Compare {
                left,
                comparison,
                right,
            } => write!(f, "{left} {comparison} {right}"),
            Self::Truth(path) => path.fmt(f),
        }
    }
}

fn join(
    f: &mut Formatter<'_>,
    operands: &[Expr],
    between: &str,
    is_group: impl Fn(&Expr) -> bool,
) -> fmt::Result {
    for (index, operand) in operands.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        grouped(f, operand, is_group(operand))?;
    }
    Ok(())
}

fn grouped(f: &mut Formatter<'_>, inner: &impl Display, is_group: bool) -> fmt::Result {
    if is_group {
        write!(f, "({inner})")
    } else {
        inner.fmt(f)
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let term = |f: &mut Formatter<'_>, term: &Self| grouped(f, term, matches!(term, Self::Sum { .. }));
        match self {
            Self::Path(path) => path.fmt(f),
            Self::Literal(literal) => literal.fmt(f),
            Self::Sum { first, rest } => {
                term(f, first)?;
                for (sign, operand) in rest {
                    write!(f, " {sign} ")?;
                    term(f, operand)?;
                }
                Ok(())
            }
        }
    }
}

impl Display for Path {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.previous {
            f.write_char('@')?;
        }
        for (index, name) in self.names.iter().enumerate() {
            if index > 0 {
                f.write_char('.')?;
            }
            if lexer::is_plain_name(name) {
                f.write_str(name)?;
            } else {
                quoted(f, name, '`')?;
            }
        }
        Ok(())
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => value.fmt(f),
            // Never with an exponent, and with a point even where it is whole.
            Self::Float(value) if value.fract() == 0.0 => write!(f, "{value:.1}"),
            Self::Float(value) => value.fmt(f),
            Self::Text(text) => quoted(f, text, '"'),
            Self::Timestamp(at) => time::write_timestamp(*at, f),
            Self::Duration(seconds) => time::write_duration(*seconds, f),
        }
    }
}

/// `text` between two of `quote`.
pub(crate) fn quoted(out: &mut impl fmt::Write, text: &str, quote: char) -> fmt::Result {
    out.write_char(quote)?;
    for character in text.chars() {
        if character == quote || character == '\\' {
            out.write_char('\\')?;
        }
        out.write_char(character)?;
    }
    out.write_char(quote)
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        })
    }
}

impl Display for Sign {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char(match self {
            Self::Plus => '+',
            Self::Minus => '-',
        })
    }
}
