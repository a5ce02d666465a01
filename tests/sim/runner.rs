//! Plans, runs and shrinks simulations.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// What happened, line by line.
pub(crate) type Trace = Vec<String>;

/// Something that can be driven by random steps.
pub(crate) trait Simulation {
    /// One step. It keeps a meaning when steps before it are left out.
    type Step: Clone + Debug;

    /// The name of the test that runs it.
    const NAME: &'static str;

    /// Random steps.
    fn plan(&self, random: &mut StdRng, steps: usize) -> Vec<Self::Step>;

    /// Takes the steps in a world made from `seed`.
    ///
    /// # Errors
    /// What does not hold. A panic counts as well.
    fn run(&self, seed: u64, steps: &[Self::Step]) -> Result<Trace, String>;
}

/// How long a failing sequence may be shortened.
const SHRINK_MAX: Duration = Duration::from_secs(60);

/// Runs `seeds`, or the one that the environment names.
pub(crate) fn check<S: Simulation>(simulation: &S, seeds: std::ops::Range<u64>, steps: usize) {
    let steps = setting("WAKELINE_TEST_STEPS").map_or(steps, |steps| steps as usize);
    let seeds = match setting("SIM_SEED").or_else(|| setting("WAKELINE_TEST_SEED")) {
        // For a long night: SIM_SEEDS=1000 from there on.
        Some(seed) => seed..seed + setting("SIM_SEEDS").unwrap_or(1),
        None => seeds,
    };
    for seed in seeds {
        let plan = simulation.plan(&mut StdRng::seed_from_u64(seed), steps);
        if let Err(broken) = attempt(simulation, seed, &plan) {
            let (plan, broken) = shortest(simulation, seed, plan, broken);
            panic!("{}", report::<S>(seed, steps, &plan, &broken));
        }
    }
}

/// Fails unless `seed` gives one trace, however often it is run.
pub(crate) fn same_trace_twice<S: Simulation>(simulation: &S, seed: u64, steps: usize) {
    let plan = || simulation.plan(&mut StdRng::seed_from_u64(seed), steps);
    let run =
        || attempt(simulation, seed, &plan()).unwrap_or_else(|broken| vec![format!("failed: {broken}")]);
    let (first, second) = (run(), run());
    assert!(!first.is_empty(), "{} leaves no trace", S::NAME);
    let differs = first
        .iter()
        .zip(&second)
        .position(|(first, second)| first != second);
    if let Some(line) = differs {
        panic!(
            "{}: seed {seed} went two ways at line {line}:\n  {}\n  {}",
            S::NAME,
            first[line],
            second[line]
        );
    }
    assert_eq!(
        first.len(),
        second.len(),
        "{}: one trace of seed {seed} is longer",
        S::NAME
    );
}

fn setting(name: &str) -> Option<u64> {
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever looks for a failure picks its seed"
    )]
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {value}")),
    )
}

fn attempt<S: Simulation>(simulation: &S, seed: u64, plan: &[S::Step]) -> Result<Trace, String> {
    catch_unwind(AssertUnwindSafe(|| simulation.run(seed, plan))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("a panic: {}", text.unwrap_or_default()))
    })
}

/// Leaves out steps, first many at once, then single ones, for as long as it still fails.
fn shortest<S: Simulation>(
    simulation: &S,
    seed: u64,
    mut plan: Vec<S::Step>,
    mut broken: String,
) -> (Vec<S::Step>, String) {
    let begun = Instant::now();
    let mut chunk = plan.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let before = plan.len();
        while at < plan.len() && begun.elapsed() < SHRINK_MAX {
            let mut shorter = plan.clone();
            shorter.drain(at..(at + chunk).min(plan.len()));
            match attempt(simulation, seed, &shorter) {
                Err(still) => (plan, broken) = (shorter, still),
                Ok(_) => at += chunk,
            }
        }
        if begun.elapsed() >= SHRINK_MAX || (chunk == 1 && plan.len() == before) {
            return (plan, broken);
        }
        chunk = chunk.div_ceil(2);
    }
}

fn report<S: Simulation>(seed: u64, steps: usize, plan: &[S::Step], broken: &str) -> String {
    let enough = plan.len();
    let lines: Vec<_> = (0..)
        .zip(plan)
        .map(|(number, step): (u32, _)| format!("{number:>4} {step:?}"))
        .collect();
    let name = S::NAME;
    format!(
        "seed {seed}: {broken}\n{enough} of {steps} steps are enough:\n{}\nagain: SIM_SEED={seed} \
         WAKELINE_TEST_STEPS={steps} cargo test -p tests --test sim {name}",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;

    /// Fails once it has seen a 3 and, later, a 5.
    struct Pairs;

    impl Simulation for Pairs {
        type Step = u8;
        const NAME: &'static str = "pairs";

        fn plan(&self, random: &mut StdRng, steps: usize) -> Vec<u8> {
            (0..steps).map(|_| random.random_range(0..10)).collect()
        }

        fn run(&self, _: u64, steps: &[u8]) -> Result<Trace, String> {
            let three = steps.iter().position(|step| *step == 3).unwrap_or(steps.len());
            assert!(!steps[three..].contains(&5), "a five after a three");
            Ok(steps.iter().map(u8::to_string).collect())
        }
    }

    #[test]
    fn a_failing_sequence_is_cut_to_what_matters() {
        let plan = Pairs.plan(&mut StdRng::seed_from_u64(7), 200);
        let broken = attempt(&Pairs, 7, &plan).unwrap_err();
        let (plan, broken) = shortest(&Pairs, 7, plan, broken);
        assert_eq!(plan, [3, 5]);
        assert!(report::<Pairs>(7, 200, &plan, &broken).contains("SIM_SEED=7"));
    }
}
