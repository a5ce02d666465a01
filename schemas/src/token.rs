//! The tokens of JSON, appended to a byte buffer: the hot path builds no value trees.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

use crate::Micros;

const TIME: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
const HEX: &[u8; 16] = b"0123456789abcdef";

/// A quoted, escaped string.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut clean_from = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[clean_from..at]);
        clean_from = at + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                let (high, low) = (HEX[usize::from(control >> 4)], HEX[usize::from(control & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
    }
    out.extend_from_slice(&bytes[clean_from..]);
    out.push(b'"');
}

pub(crate) fn integer(value: i64, out: &mut Vec<u8>) {
    // Writing to a `Vec` cannot fail.
    serde_json::to_writer(out, &value).unwrap_or_default();
}

pub(crate) fn unsigned(value: u64, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &value).unwrap_or_default();
}

/// A number; `null` where it is not finite, as JSON has no other word for it.
pub(crate) fn number(value: f64, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &value).unwrap_or_default();
}

pub(crate) fn boolean(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// RFC 3339 in UTC with milliseconds, quoted. A time outside the years −9999 to 9999 is shown as the
/// nearest within.
pub(crate) fn time(at: Micros, out: &mut Vec<u8>) {
    let nearest = if at < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let timestamp = Timestamp::from_microsecond(at).unwrap_or(nearest);
    out.push(b'"');
    // Writing to a `Vec` cannot fail.
    TIME.print_timestamp(&timestamp, &mut *out).unwrap_or_default();
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn a_string_reads_back_and_stays_on_one_line(text: String) {
            let json = written(|out| super::string(&text, out));
            prop_assert!(!json.contains('\n'));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        let json = written(|out| super::string("\u{0}\u{1f}\"\\\n\r\t\u{7f}é", out));
        assert_eq!(json, "\"\\u0000\\u001f\\\"\\\\\\n\\r\\t\u{7f}é\"");
    }

    #[test]
    fn times_have_milliseconds_and_a_z() {
        let at = |micros| written(|out| super::time(micros, out));
        assert_eq!(at(0), "\"1970-01-01T00:00:00.000Z\"");
        assert_eq!(at(1_720_000_000_123_999), "\"2024-07-03T09:46:40.123Z\"");
        assert_eq!(at(i64::MAX), "\"9999-12-30T22:00:00.999Z\"");
    }

    #[test]
    fn numbers_keep_their_kind() {
        assert_eq!(written(|out| super::number(1.0, out)), "1.0");
        assert_eq!(written(|out| super::number(f64::NAN, out)), "null");
        assert_eq!(
            written(|out| super::integer(i64::MIN, out)),
            "-9223372036854775808"
        );
        assert_eq!(
            written(|out| super::unsigned(u64::MAX, out)),
            "18446744073709551615"
        );
    }
}
