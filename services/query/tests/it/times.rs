//! Which texts say a time.

use proptest::prelude::*;
use query::parse_timestamp;

use crate::reference;

const MAY: i64 = 1_746_057_600_000_000;

#[test]
fn a_time_is_read_in_any_offset() {
    for text in [
        "2025-05-01T00:00:00Z",
        "2025-05-01t00:00:00z",
        "2025-05-01T02:00:00+02:00",
        "2025-04-30T18:30:00-05:30",
        "2025-05-01T00:00:00.000Z",
        "2025-05-01T00:00:00-00:00",
    ] {
        assert_eq!(parse_timestamp(text), Some(MAY), "{text}");
    }
}

#[test]
fn a_fraction_is_cut_after_microseconds() {
    assert_eq!(parse_timestamp("2025-05-01T00:00:00.5Z"), Some(MAY + 500_000));
    assert_eq!(
        parse_timestamp("2025-05-01T00:00:00.123456789Z"),
        Some(MAY + 123_456)
    );
    assert_eq!(
        parse_timestamp("2025-05-01T00:00:00.1234567890123Z"),
        Some(MAY + 123_456)
    );
    assert_eq!(parse_timestamp("1969-12-31T23:59:59.9999999Z"), Some(-1));
}

#[test]
fn a_leap_second_is_the_second_before() {
    assert_eq!(
        parse_timestamp("2016-12-31T23:59:60Z"),
        parse_timestamp("2016-12-31T23:59:59Z")
    );
}

#[test]
fn what_is_no_time_is_none() {
    for text in [
        "",
        "2025-05-01",
        "2025-05-01T00:00:00",
        "2025-05-01 00:00:00Z",
        "2025-05-01T00:00Z",
        "2025-13-01T00:00:00Z",
        "2025-02-30T00:00:00Z",
        "2025-05-01T24:00:00Z",
        "2025-05-01T00:00:61Z",
        "2025-05-01T00:00:00.Z",
        "2025-05-01T00:00:00+2:00",
        "2025-05-01T00:00:00+24:00",
        "2025-05-01T00:00:00+02:60",
        "2025-05-01T00:00:00Zx",
        "x2025-05-01T00:00:00Z",
        "2025-05-01T00:00:00Z[UTC]",
        "+002025-05-01T00:00:00Z",
        "0000-01-01T00:00:00+01:00",
        "２025-05-01T00:00:00Z",
    ] {
        assert_eq!(parse_timestamp(text), None, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn times_are_read_as_a_library_reads_them(
        text in "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,9})?([Zz]|[+-][0-2][0-9]:[0-6][0-9])?",
    ) {
        prop_assert_eq!(parse_timestamp(&text), reference::time_in(&text));
    }
}
