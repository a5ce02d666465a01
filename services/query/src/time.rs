//! Times and durations as text.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// Microseconds of a second.
pub(crate) const MICROS: i64 = 1_000_000;
/// Midnight at the beginning of the year 0, the earliest that four digits can say.
const EARLIEST_S: i64 = -62_167_219_200;
/// Units of a duration, in seconds, from large to small.
const UNITS: [(char, i64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// The microseconds since the Unix epoch that an RFC 3339 text says; digits beyond microseconds are cut.
/// `None` for every other text.
#[must_use]
#[inline]
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    // Nearly every text is told apart here, without a call.
    if bytes.len() < 20 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    match scan(bytes) {
        Some((at, length)) if length == bytes.len() => Some(at),
        _ => None,
    }
}

/// Whether `bytes` begin as a date does.
pub(crate) fn is_date(bytes: &[u8]) -> bool {
    bytes.len() >= 10
        && bytes[..10].iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// The time that `bytes` begin with, and its length.
pub(crate) fn scan(bytes: &[u8]) -> Option<(i64, usize)> {
    if !is_date(bytes) || bytes.len() < 20 {
        return None;
    }
    if !matches!(bytes[10], b'T' | b't') || bytes[13] != b':' || bytes[16] != b':' {
        return None;
    }
    let (hour, minute, second) = (pair(bytes, 11)?, pair(bytes, 14)?, pair(bytes, 17)?);
    let (micros, zone) = fraction(bytes, 19)?;
    let (offset_s, length) = offset(bytes, zone)?;
    let civil = DateTime::new(
        i16::from(pair(bytes, 0)?) * 100 + i16::from(pair(bytes, 2)?),
        pair(bytes, 5)?,
        pair(bytes, 8)?,
        hour,
        minute,
        // A leap second is not counted by the epoch's clock.
        if second == 60 { 59 } else { second },
        micros * 1_000,
    );
    let at = Offset::from_seconds(offset_s)
        .ok()?
        .to_timestamp(civil.ok()?)
        .ok()?;
    (at.as_second() >= EARLIEST_S).then(|| (at.as_microsecond(), length))
}

/// The two digits at `at`.
fn pair(bytes: &[u8], at: usize) -> Option<i8> {
    let digit = |at: usize| {
        bytes
            .get(at)
            .filter(|byte| byte.is_ascii_digit())
            .map(|byte| byte - b'0')
    };
    i8::try_from(digit(at)? * 10 + digit(at + 1)?).ok()
}

/// Microseconds of the fraction at `at`, if there is one, and where it ends.
fn fraction(bytes: &[u8], at: usize) -> Option<(i32, usize)> {
    if bytes.get(at) != Some(&b'.') {
        return Some((0, at));
    }
    let digits = bytes[at + 1..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let fraction = &bytes[at + 1..at + 1 + digits];
    let micros = (0..6).fold(0, |sum, index| {
        sum * 10 + fraction.get(index).map_or(0, |byte| i32::from(byte - b'0'))
    });
    (digits > 0).then_some((micros, at + 1 + digits))
}

/// Seconds of the offset from UTC at `at`, and where it ends.
fn offset(bytes: &[u8], at: usize) -> Option<(i32, usize)> {
    let sign = match bytes.get(at)? {
        b'Z' | b'z' => return Some((0, at + 1)),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = (pair(bytes, at + 1)?, pair(bytes, at + 4)?);
    let is_offset = bytes.get(at + 3) == Some(&b':') && hours < 24 && minutes < 60;
    is_offset.then(|| {
        (
            sign * (i32::from(hours) * 3_600 + i32::from(minutes) * 60),
            at + 6,
        )
    })
}

/// Writes a time so that it can be read.
pub(crate) fn write_timestamp(at: i64, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let nearest = if at < 0 { Timestamp::MIN } else { Timestamp::MAX };
    write!(out, "{}", Timestamp::from_microsecond(at).unwrap_or(nearest))
}

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DurationError {
    /// It has another form.
    Form,
    /// It is too long for microseconds of 63 bits.
    Length,
}

/// The seconds that `text` says, such as `1h6m`.
pub(crate) fn parse_duration(text: &str) -> Result<i64, DurationError> {
    let mut seconds = 0_i64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (count, tail) = rest.split_at(digits);
        let Some(unit) = tail.chars().next() else {
            return Err(DurationError::Form);
        };
        let Some((_, length)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(DurationError::Form);
        };
        if count.is_empty() {
            return Err(DurationError::Form);
        }
        seconds = count
            .parse::<i64>()
            .ok()
            .and_then(|count| seconds.checked_add(count.checked_mul(*length)?))
            .filter(|seconds| *seconds <= i64::MAX / MICROS)
            .ok_or(DurationError::Length)?;
        rest = &tail[1..];
    }
    Ok(seconds)
}

/// Writes a duration so that it can be read.
pub(crate) fn write_duration(seconds: i64, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut left = seconds;
    for (unit, length) in UNITS {
        let count = left / length;
        left %= length;
        if count != 0 || (seconds == 0 && unit == 's') {
            write!(out, "{count}{unit}")?;
        }
    }
    Ok(())
}
