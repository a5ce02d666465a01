//! What people write who know other languages, and what they should write here.

use crate::error::{Expected, Failure, Fix, Source};
use crate::expr::quoted;

/// The fix for a word that other languages have as a constant.
pub(crate) fn constant(word: &str) -> Option<Fix> {
    [("true", Fix::True), ("false", Fix::False), ("null", Fix::Null)]
        .into_iter()
        .find_map(|(text, fix)| word.eq_ignore_ascii_case(text).then_some(fix))
}

/// The fix for a word that other languages have as an operator.
pub(crate) fn word_operator(word: &str) -> Option<Fix> {
    const WORDS: [(&str, Fix); 14] = [
        ("is", Fix::Equality),
        ("eq", Fix::Equality),
        ("equals", Fix::Equality),
        ("ne", Fix::Inequality),
        ("ge", Fix::AtLeast),
        ("gte", Fix::AtLeast),
        ("le", Fix::AtMost),
        ("lte", Fix::AtMost),
        ("in", Fix::In),
        ("between", Fix::Between),
        ("like", Fix::NoPatterns),
        ("contains", Fix::NoPatterns),
        ("matches", Fix::NoPatterns),
        ("startswith", Fix::NoPatterns),
    ];
    WORDS
        .into_iter()
        .find_map(|(text, fix)| word.eq_ignore_ascii_case(text).then_some(fix))
}

/// The fix for comparison characters that are no comparison together.
pub(super) fn symbols(symbols: &str) -> Option<Fix> {
    match symbols {
        "==" | "===" => Some(Fix::Equality),
        "<>" | "!==" | "=!" => Some(Fix::Inequality),
        "=>" => Some(Fix::AtLeast),
        "=<" => Some(Fix::AtMost),
        "!" => Some(Fix::Not),
        _ => None,
    }
}

/// The fix for a character that no token begins with.
pub(super) fn character(character: char) -> Option<Fix> {
    match character {
        '&' => Some(Fix::And),
        '|' => Some(Fix::Or),
        '\'' => Some(Fix::DoubleQuotes),
        '“' | '”' | '„' | '«' | '»' | '‘' | '’' => Some(Fix::StraightQuotes),
        '–' | '—' | '−' => Some(Fix::Minus),
        '*' | '/' | '%' => Some(Fix::OnlySums),
        ':' => Some(Fix::Equality),
        '≠' => Some(Fix::Inequality),
        '≥' => Some(Fix::AtLeast),
        '≤' => Some(Fix::AtMost),
        space if space.is_whitespace() => Some(Fix::PlainSpace),
        _ => None,
    }
}

/// The error about a name with characters that need backquotes.
pub(super) fn foreign_name(source: Source<'_>, start: usize) -> Failure {
    let rest = &source.0[start..];
    let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$' | '#');
    let end = start + rest.find(|character| !is_part(character)).unwrap_or(rest.len());
    source.wrong(
        start,
        end,
        Expected::Name,
        Some(backquoted(&source.0[start..end])),
    )
}

/// The fix for a name that needs backquotes.
pub(crate) fn backquoted(name: &str) -> Fix {
    let mut text = String::new();
    match quoted(&mut text, name, '`') {
        Ok(()) => Fix::Backquotes(text.into()),
        // Writing to a text does not fail.
        Err(_) => Fix::Backquotes(name.into()),
    }
}
