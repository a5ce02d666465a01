//! `wakeline rebuild` while everything serves, interrupted and repeated.

use std::process::Stdio;
use std::time::Duration;

use projector::rebuild::{Comparison, Options, compare};
use rand::RngExt as _;
use rand::rngs::SmallRng;
use tokio::time::{Instant, timeout};

use super::stage::Stage;
use crate::outage::servers::Servers;

/// How often in a row runs, or looks at the serving tables, may fail since servers are disturbed.
const FAILURES_MAX: u32 = 20;
/// So long after servers were disturbed, a run or a look may still fail because of it: leaders are elected anew, and
/// the CQL server's first answers take seconds.
const EXCUSED_FOR: Duration = Duration::from_secs(15);
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest run: it writes the history of the last events as well.
const RUN_MAX: Duration = Duration::from_secs(300);
/// Runs that may end before they are interrupted.
const TRIES: u32 = 4;
/// When a run is interrupted in any case.
const EARLY_MS: u64 = 100;
/// How often it is interrupted, run and looked at while nothing else happens.
const TIMES_IN_CALM: u32 = 2;

/// Compares the tables that it replaces, kills it `interrupted` times, then runs it to its end.
pub(super) async fn run(stage: &Stage, interrupted: u32, random: SmallRng) {
    stage.board.rebuild(true);
    rebuilt(stage, interrupted, random).await;
    stage.board.rebuild(false);
}

/// The same while no server is disturbed: nothing excuses a failure.
pub async fn in_calm(stage: &Stage) {
    for _ in 0..TIMES_IN_CALM {
        if interrupted(stage, EARLY_MS).await && to_its_end(stage).await {
            stage
                .findings
                .count("rebuilds at the first attempt in the calm", 1);
        }
        serving(stage).await;
    }
}

/// The tables that serve are what the log says: what is replaced is not seen any more. This holds beside projectors
/// that work, and die.
async fn serving(stage: &Stage) {
    let findings = &stage.findings;
    let mut failures = 0;
    loop {
        let begun = Instant::now();
        let error = match compared(&stage.servers).await {
            Ok(comparison) => {
                findings.count("tables compared before a rebuild", 1);
                if comparison.different > 0 || comparison.devices == 0 {
                    let evidence = format!("before a rebuild: {comparison:?}");
                    findings.violation("the tables are not the log", evidence);
                }
                return;
            }
            Err(error) => error,
        };
        findings.say(&format!("  the tables before a rebuild: {error}"));
        failures += 1;
        if !is_excused(stage, failures, begun) {
            findings.violation("tables cannot be compared", error);
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn compared(servers: &Servers) -> Result<Comparison, String> {
    let opened = servers.open().await.map_err(|error| error.to_string())?;
    compare(&opened.journal, &opened.store, &Options::default(), &|_| ())
        .await
        .map_err(|error| error.to_string())
}

async fn rebuilt(stage: &Stage, times: u32, mut random: SmallRng) {
    serving(stage).await;
    for _ in 0..times {
        let mut after_ms = random.random_range(EARLY_MS..3_000);
        for _ in 0..TRIES {
            if interrupted(stage, after_ms).await {
                break;
            }
            after_ms = EARLY_MS;
        }
    }
    to_its_end(stage).await;
}

/// Starts one and kills it. Whether it was still at work.
async fn interrupted(stage: &Stage, after_ms: u64) -> bool {
    let mut command = stage.flags.command("rebuild");
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("the program starts");
    match timeout(Duration::from_millis(after_ms), child.wait()).await {
        Ok(Ok(status)) if status.success() => {
            stage.board.other_tables();
            serving(stage).await;
            false
        }
        // The next one tells why.
        Ok(_) => false,
        Err(_) => {
            child.kill().await.expect("killed");
            stage.findings.count("kills", 1);
            stage.findings.count("kills of rebuild", 1);
            true
        }
    }
}

/// Runs it until it has ended well. Whether that was at the first attempt.
async fn to_its_end(stage: &Stage) -> bool {
    let findings = &stage.findings;
    let mut failures = 0;
    loop {
        let begun = Instant::now();
        let output = timeout(RUN_MAX, stage.flags.command("rebuild").output()).await;
        let Ok(output) = output else {
            findings.violation("a rebuild has no end", format!("after {RUN_MAX:?}"));
            return false;
        };
        let output = output.expect("runs");
        if output.status.success() {
            findings.took("rebuild while serving", begun.elapsed());
            stage.board.other_tables();
            return failures == 0;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        let is_wrong = said.contains("are not what wakeline.state says") || said.contains("differ");
        failures += 1;
        if is_wrong || !is_excused(stage, failures, begun) {
            findings.violation("a rebuild fails", format!("{}: {said}", output.status));
            return false;
        }
        findings.count("rebuilds that failed while servers were disturbed", 1);
        findings.say(&format!("  rebuild: {}", said.lines().last().unwrap_or_default()));
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether what began at `begun` may have failed because of what is done to the servers, so many times in a row.
fn is_excused(stage: &Stage, failures: u32, begun: Instant) -> bool {
    failures <= FAILURES_MAX && stage.disturbances.excuse(begun, EXCUSED_FOR)
}
