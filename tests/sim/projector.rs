//! Whole projectors in virtual time: processes come, die at any effect, hang, lose touch with their group and
//! come back; clocks jump; some devices keep sending through all of it.
//!
//! What must hold: state records are the fold of the log, each once; documents, counts and history are what
//! the log says; each silence is told once; nobody who keeps sending is ever called silent; each alert that the
//! log and the rules bring is opened once and stands as long as it should; and commands expire, each once.

mod alerts;
mod faults;
mod group;
mod log;
mod model;
mod presence;
mod steps;
mod store;
mod world;

use rand::rngs::StdRng;

use crate::runner::{Simulation, Trace, check};
use steps::Step;
use world::World;

pub(crate) struct Projecting;

impl Simulation for Projecting {
    type Step = Step;
    const NAME: &'static str = "projectors_keep_to_the_log_whatever_befalls_them";

    fn plan(&self, random: &mut StdRng, steps: usize) -> Vec<Step> {
        let first = Step::Start { process: 0 };
        std::iter::once(first)
            .chain((0..steps).map(|_| Step::any(random)))
            .collect()
    }

    fn run(&self, seed: u64, steps: &[Step]) -> Result<Trace, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let mut world = World::new(seed);
            for step in steps {
                world.take(step).await;
            }
            world.finish().await?;
            Ok(world.trace())
        })
    }
}

#[test]
fn projectors_keep_to_the_log_whatever_befalls_them() {
    check(&Projecting, 0..40, 100);
}
