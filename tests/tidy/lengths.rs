//! Long files: 300 lines are wanted, 500 are the limit.

use std::collections::BTreeMap;

use crate::repository::rust;
use crate::{holds, ratchet};

const LINES_MAX: usize = 500;
const EXCEPTIONS: &str = include_str!("lengths.txt");

#[test]
fn no_file_grows_long() {
    let lengths: BTreeMap<_, _> = rust()
        .into_iter()
        .map(|file| (file.path, file.text.lines().count()))
        .collect();
    let breaches = ratchet::breaches(&lengths, LINES_MAX, "tests/tidy/lengths.txt", EXCEPTIONS);
    holds(
        "files have at most 500 lines; split them by what they are about",
        &breaches,
    );
}
