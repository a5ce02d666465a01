//! Random tests that can be run again: one seed, printed, from which everything follows.

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// The seed of a test and what is drawn from it.
#[derive(Debug, Clone, Copy)]
pub struct Seed(pub u64);

impl Seed {
    /// `WAKELINE_TEST_SEED`, or a new one. Printed, so that a failure shows it.
    #[must_use]
    #[expect(clippy::print_stdout, reason = "a failure shows what to run again")]
    pub fn of_test() -> Self {
        let seed = variable("WAKELINE_TEST_SEED").unwrap_or_else(|| rand::rng().random());
        println!("seed: WAKELINE_TEST_SEED={seed}");
        Self(seed)
    }

    /// Randomness for one part of the test, the same for the same seed and number.
    #[must_use]
    pub fn part(self, number: u64) -> SmallRng {
        SmallRng::seed_from_u64(self.0.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

/// How many times longer than usual random tests run: `WAKELINE_TEST_SCALE`.
#[must_use]
pub fn scale() -> u64 {
    variable("WAKELINE_TEST_SCALE").unwrap_or(1).max(1)
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by the environment how long to run"
)]
fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text:?}")),
    )
}
