//! `wakeline rebuild` while everything serves, interrupted and repeated.

use std::process::Stdio;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::SmallRng;
use tokio::time::{Instant, timeout};

use super::stage::Stage;

/// Runs that may fail since a server is away.
const ATTEMPTS: u32 = 90;
/// Longest run.
const RUN_MAX: Duration = Duration::from_secs(120);

/// Kills it `interrupted` times, then runs it to its end.
pub(super) async fn run(stage: &Stage, interrupted: u32, mut random: SmallRng) {
    let findings = &stage.findings;
    for _ in 0..interrupted {
        let mut command = stage.flags.command("rebuild");
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut child = child.expect("the program starts");
        let after = Duration::from_millis(random.random_range(100..3_000));
        if timeout(after, child.wait()).await.is_err() {
            child.kill().await.expect("killed");
            findings.count("kills", 1);
            findings.count("kills of rebuild", 1);
        }
    }
    for attempt in 1..=ATTEMPTS {
        let begun = Instant::now();
        let output = timeout(RUN_MAX, stage.flags.command("rebuild").output()).await;
        let Ok(output) = output else {
            findings.violation("a rebuild has no end", format!("after {RUN_MAX:?}"));
            return;
        };
        let output = output.expect("runs");
        if output.status.success() {
            findings.took("rebuild while serving", begun.elapsed());
            return;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        if said.contains("are not what wakeline.state says") || said.contains("differ") || attempt == ATTEMPTS
        {
            findings.violation("a rebuild fails", said);
            return;
        }
        findings.count("rebuilds that failed while a server was away", 1);
        findings.say(&format!("  rebuild: {}", said.lines().last().unwrap_or_default()));
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
