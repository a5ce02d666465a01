//! `wakeline rebuild` while everything serves, interrupted and repeated.

use std::process::Stdio;
use std::time::Duration;

use projector::rebuild::{Comparison, Options, compare};
use rand::RngExt as _;
use rand::rngs::SmallRng;
use tokio::time::{Instant, timeout};

use super::stage::Stage;
use crate::outage::servers::Servers;

/// Runs that may fail since a server is away.
const ATTEMPTS: u32 = 90;
/// Looks at the serving tables that may fail since a server is away.
const LOOKS: u32 = 10;
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest run.
const RUN_MAX: Duration = Duration::from_secs(120);

/// Compares the tables that it replaces, kills it `interrupted` times, then runs it to its end.
pub(super) async fn run(stage: &Stage, interrupted: u32, random: SmallRng) {
    stage.board.rebuild(true);
    rebuilt(stage, interrupted, random).await;
    stage.board.rebuild(false);
}

/// The tables that serve are what the log says: what is replaced is not seen any more. This holds beside projectors
/// that work, and die.
async fn serving(stage: &Stage) {
    let findings = &stage.findings;
    for _ in 0..LOOKS {
        match compared(&stage.servers).await {
            Ok(comparison) => {
                findings.count("tables compared before a rebuild", 1);
                if comparison.different > 0 {
                    let evidence = format!("before a rebuild: {comparison:?}");
                    findings.violation("the tables are not the log", evidence);
                }
                return;
            }
            Err(error) => findings.say(&format!("  the tables before a rebuild: {error}")),
        }
        tokio::time::sleep(PAUSE).await;
    }
    findings.count("tables not compared before a rebuild: a server was away", 1);
}

async fn compared(servers: &Servers) -> Result<Comparison, String> {
    let opened = servers.open().await.map_err(|error| error.to_string())?;
    compare(&opened.journal, &opened.store, &Options::default(), &|_| ())
        .await
        .map_err(|error| error.to_string())
}

async fn rebuilt(stage: &Stage, interrupted: u32, mut random: SmallRng) {
    let findings = &stage.findings;
    serving(stage).await;
    for _ in 0..interrupted {
        let mut command = stage.flags.command("rebuild");
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut child = child.expect("the program starts");
        let after = Duration::from_millis(random.random_range(100..3_000));
        match timeout(after, child.wait()).await {
            Ok(Ok(status)) if status.success() => {
                stage.board.other_tables();
                serving(stage).await;
            }
            // The next one tells why.
            Ok(_) => {}
            Err(_) => {
                child.kill().await.expect("killed");
                findings.count("kills", 1);
                findings.count("kills of rebuild", 1);
            }
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
            stage.board.other_tables();
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
        tokio::time::sleep(PAUSE).await;
    }
}
