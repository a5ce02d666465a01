//! Seeded simulation: the cores of the product, driven by random steps in virtual time against models that
//! say what must hold.
//!
//! | module | drives | against |
//! |---|---|---|
//! | [`fold`] | the fold, and the projector's state machine in any partition of the log into batches | the fold, one event at a time |
//! | [`projector`] | whole projectors over ports that fail, stall and die at any effect | the fold of the log, and what devices really did |
//! | [`embedded`] | the embedded engine over a directory that is copied, torn and reopened | what was acknowledged |
//!
//! A failure prints its seed and the shortest sequence of steps that still fails. `SIM_SEED` (or
//! `WAKELINE_TEST_SEED`) runs that seed alone, or with `SIM_SEEDS` so many from it on; `WAKELINE_TEST_STEPS` makes
//! runs longer or shorter.

mod embedded;
mod fleet;
mod fold;
mod projector;
mod runner;

/// Runs before all others, by its name: without it no other test here says anything.
#[test]
fn a_seed_gives_the_same_trace_twice() {
    runner::same_trace_twice(&fold::Folding, 1, 120);
    runner::same_trace_twice(&projector::Projecting, 1, 80);
    runner::same_trace_twice(&embedded::Engines, 1, 15);
}
