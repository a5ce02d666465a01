//! The embedded engine over a directory: appends, transactions, documents and maintenance, while the process is
//! killed (its directory copied as it stands, the end of its write-ahead file torn) or ends as it should.
//!
//! What must hold: what was acknowledged is there, at its offset, for ever, unless retention or compaction may
//! remove it; no offset is given twice; a transaction is whole or not at all; a copy is another log.

mod files;
mod machine;
mod model;
mod node;
mod steps;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::runner::{Simulation, Trace, check};
use machine::Machine;
use steps::Step;

pub(crate) struct Engines;

impl Simulation for Engines {
    type Step = Step;
    const NAME: &'static str = "engines_keep_what_they_acknowledged";

    fn plan(&self, random: &mut StdRng, steps: usize) -> Vec<Step> {
        (0..steps).map(|_| Step::any(random)).collect()
    }

    fn run(&self, seed: u64, steps: &[Step]) -> Result<Trace, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let mut machine = Machine::new(StdRng::seed_from_u64(seed ^ 0xd15c)).await?;
            for step in steps {
                machine.take(step).await?;
            }
            machine.take(&Step::Reopen).await?;
            machine.end().await
        })
    }
}

#[test]
fn engines_keep_what_they_acknowledged() {
    check(&Engines, 0..6, 40);
}
