//! From text to tokens, one at a time.

mod slips;

use crate::error::{Expected, Failure, Fix, Found, Source};
use crate::expr::{Comparison, Literal, Sign};
use crate::time::{self, DurationError};

/// A piece of the text that means something.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Its first byte.
    pub(crate) start: usize,
    /// The byte after its last.
    pub(crate) end: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    End,
    And,
    Or,
    Not,
    /// A name, read from between backquotes if `quoted`.
    Name {
        name: Box<str>,
        quoted: bool,
    },
    /// A whole number: its sign is not its own.
    Integer(u64),
    /// Any other literal.
    Literal(Literal),
    At,
    Dot,
    Sign(Sign),
    Compare(Comparison),
    Open,
    Close,
    /// What no filter has, and what was probably meant by it.
    Slip(Option<Fix>),
}

/// Whether a name can stand without backquotes.
pub(crate) fn is_plain_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(is_word)
        && keyword(name).is_none()
        && slips::constant(name).is_none()
}

/// What a name alone stands for that is no field.
pub(crate) use slips::constant;
/// What was meant by a name where an operator should stand.
pub(crate) use slips::word_operator;

fn keyword(word: &str) -> Option<Kind> {
    [("and", Kind::And), ("or", Kind::Or), ("not", Kind::Not)]
        .into_iter()
        .find_map(|(text, kind)| word.eq_ignore_ascii_case(text).then_some(kind))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Reads tokens.
pub(crate) struct Lexer<'t> {
    source: Source<'t>,
    at: usize,
    /// A digit after a dot begins no number.
    after_dot: bool,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(source: Source<'t>) -> Self {
        Self {
            source,
            at: 0,
            after_dot: false,
        }
    }

    /// The next token; [`Kind::End`] from the end on.
    pub(crate) fn token(&mut self) -> Result<Token, Failure> {
        self.at += self.run(self.at, |byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        let start = self.at;
        let kind = match self.rest().chars().next() {
            None => Kind::End,
            Some('(') => self.symbol(Kind::Open),
            Some(')') => self.symbol(Kind::Close),
            Some('@') => self.symbol(Kind::At),
            Some('.') => self.symbol(Kind::Dot),
            Some('+') => self.symbol(Kind::Sign(Sign::Plus)),
            Some('-') => self.symbol(Kind::Sign(Sign::Minus)),
            Some('=' | '!' | '<' | '>') => self.comparison(),
            Some('"') => {
                let text = self.quoted('"', Expected::Quote)?;
                Kind::Literal(Literal::Text(text))
            }
            Some('`') => Kind::Name {
                name: self.quoted('`', Expected::Backquote)?,
                quoted: true,
            },
            Some('0'..='9') => self.number()?,
            Some('a'..='z' | 'A'..='Z' | '_') => self.word()?,
            Some(other) => self.other(other)?,
        };
        self.after_dot = kind == Kind::Dot;
        Ok(Token {
            kind,
            start,
            end: self.at,
        })
    }

    fn rest(&self) -> &'t str {
        &self.source.0[self.at..]
    }

    /// How many bytes from `from` on are as `of` says.
    fn run(&self, from: usize, of: impl Fn(u8) -> bool) -> usize {
        let bytes = &self.source.0.as_bytes()[from..];
        bytes.iter().take_while(|byte| of(**byte)).count()
    }

    fn symbol(&mut self, kind: Kind) -> Kind {
        self.at += 1;
        kind
    }

    /// The error about what stands from `start` to `end`.
    fn wrong<T>(
        &self,
        start: usize,
        end: usize,
        expected: Expected,
        fix: impl Into<Option<Fix>>,
    ) -> Result<T, Failure> {
        Err(self.source.wrong(start, end, expected, fix.into()))
    }

    fn comparison(&mut self) -> Kind {
        let start = self.at;
        self.at += self.run(start, |byte| matches!(byte, b'=' | b'!' | b'<' | b'>'));
        Kind::Compare(match &self.source.0[start..self.at] {
            "=" => Comparison::Equal,
            "!=" => Comparison::NotEqual,
            "<" => Comparison::Less,
            "<=" => Comparison::AtMost,
            ">" => Comparison::Greater,
            ">=" => Comparison::AtLeast,
            other => return Kind::Slip(slips::symbols(other)),
        })
    }

    fn other(&mut self, character: char) -> Result<Kind, Failure> {
        let start = self.at;
        if character.is_alphanumeric() || matches!(character, '$' | '#') {
            return Err(slips::foreign_name(self.source, start));
        }
        self.at += match character {
            '&' | '|' => self.run(start, |byte| char::from(byte) == character),
            _ => character.len_utf8(),
        };
        Ok(Kind::Slip(slips::character(character)))
    }

    /// What stands between two of `quote`, the first of which is next.
    fn quoted(&mut self, quote: char, closing: Expected) -> Result<Box<str>, Failure> {
        let start = self.at;
        let mut text = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((offset, character)) = characters.next() {
            if character == quote {
                self.at = start + offset + 1;
                return Ok(text.into());
            }
            if character != '\\' {
                text.push(character);
                continue;
            }
            match characters.next() {
                Some((_, escaped)) if escaped == quote || escaped == '\\' => text.push(escaped),
                Some((after, other)) => {
                    let end = start + after + other.len_utf8();
                    return self.wrong(start + offset, end, Expected::Escaped(quote), None);
                }
                None => break,
            }
        }
        let end = self.source.0.len();
        self.wrong(end, end, closing, Fix::CloseQuote(self.source.column(start)))
    }

    fn word(&mut self) -> Result<Kind, Failure> {
        let start = self.at;
        self.at += self.run(start, is_word);
        if self.rest().starts_with(char::is_alphanumeric) {
            return Err(slips::foreign_name(self.source, start));
        }
        let word = &self.source.0[start..self.at];
        Ok(keyword(word).unwrap_or_else(|| Kind::Name {
            name: word.into(),
            quoted: false,
        }))
    }

    fn number(&mut self) -> Result<Kind, Failure> {
        let start = self.at;
        if self.after_dot {
            return Err(slips::foreign_name(self.source, start));
        }
        if time::is_date(self.rest().as_bytes()) {
            return self.time();
        }
        let digits = self.run(start, |byte| byte.is_ascii_digit());
        // All that hangs together with it.
        let end = start + self.run(start, |byte| is_word(byte) || byte == b'.');
        let text = &self.source.0[start..end];
        self.at = end;
        match text.as_bytes().get(digits) {
            None => match text.parse() {
                Ok(value) => Ok(Kind::Integer(value)),
                Err(_) => self.wrong(start, end, Expected::SmallerNumber, Fix::Fraction),
            },
            Some(b'.') => self.float(start, digits),
            Some(b'e' | b'E') => self.wrong(start, end, Expected::Number, Fix::NoExponent),
            Some(b'_') => self.wrong(start, end, Expected::Number, Fix::OnlyDigits),
            Some(_) => match time::parse_duration(text) {
                Ok(seconds) => Ok(Kind::Literal(Literal::Duration(seconds))),
                Err(DurationError::Form) => self.wrong(start, end, Expected::Duration, None),
                Err(DurationError::Length) => self.wrong(start, end, Expected::ShorterDuration, None),
            },
        }
    }

    /// A number with a point after `digits`; the lexer stands at the end of what hangs together with it.
    fn float(&mut self, start: usize, digits: usize) -> Result<Kind, Failure> {
        let end = self.at;
        let text = &self.source.0[start..end];
        let fraction = &text[digits + 1..];
        let after = fraction.trim_start_matches(|character: char| character.is_ascii_digit());
        let fix = match after.as_bytes().first() {
            _ if fraction.len() == after.len() => Fix::DigitsBothSides,
            Some(b'e' | b'E') => Fix::NoExponent,
            Some(b'd' | b'h' | b'm' | b's') => Fix::WholeUnits,
            Some(_) => return self.wrong(start, end, Expected::Number, None),
            None => {
                let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
                return match value {
                    Some(value) => Ok(Kind::Literal(Literal::Float(value))),
                    None => self.wrong(start, end, Expected::SmallerNumber, None),
                };
            }
        };
        self.wrong(start, end, Expected::Number, fix)
    }

    fn time(&mut self) -> Result<Kind, Failure> {
        let start = self.at;
        let scanned = time::scan(self.rest().as_bytes());
        let length = scanned.map_or(10, |(_, length)| length);
        let tail = self.run(start + length, |byte| {
            is_word(byte) || matches!(byte, b':' | b'.')
        });
        self.at = start + length + tail;
        match scanned {
            Some((at, _)) if tail == 0 => Ok(Kind::Literal(Literal::Timestamp(at))),
            // As long as a time that is complete.
            _ if self.at - start >= 20 && self.source.0[..self.at].ends_with(['Z', 'z']) => {
                self.wrong(start, self.at, Expected::Time, Fix::NoSuchTime)
            }
            _ => self.wrong(start, self.at, Expected::Time, Fix::WholeTime),
        }
    }
}

impl Token {
    /// What an error calls it.
    pub(crate) fn found(&self, source: Source<'_>) -> Found {
        if self.kind == Kind::End {
            Found::End
        } else {
            Found::source(&source.0[self.start..self.end])
        }
    }
}
