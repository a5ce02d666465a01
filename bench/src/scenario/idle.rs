//! What a connection costs to which nothing is sent: user memory, resident memory, processor time.
//!
//! Every connection has had keep-alives when memory is looked at, and gets them while processor time is: they are the work
//! of an idle connection.
//!
//! Memory is the growth of the process's own pages (`Anonymous` in `smaps_rollup`) from a few warm
//! connections to all of them, over the connections added.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::events::Series;
use crate::figures::{Row, Sense, Spread, short};
use crate::load::{Carrier, Load, Plan};
use crate::machine::{self, Memory};
use crate::rig::{Rig, Stretch};
use crate::server::Server;

const SCENARIO: &str = "idle";
/// Connections before the first look: what is allocated once is there then.
const WARM: usize = 64;
/// Longer than the product's `gateway-keep-alive` and its jitter.
const KEPT_ALIVE: Duration = Duration::from_secs(20);
/// Each takes long.
const RUNS_MAX: u32 = 3;

pub(super) fn run(rig: &Rig) -> Result<Vec<Row>, Error> {
    let connections = rig.options.size(400, 5_000).min(machine::connections_max() / 2);
    let mut rows = Vec::new();
    for carrier in [Carrier::WebSocket, Carrier::Sse] {
        let (mut products, mut limits) = (Vec::new(), Vec::new());
        let (length, alive) = (
            rig.options.length(),
            rig.options.size(rig.options.length(), KEPT_ALIVE),
        );
        for _ in 0..rig.options.runs().min(RUNS_MAX) {
            let (server, _) = rig.embedded()?;
            products.push(hold(rig, server, carrier, connections, alive)?);
            // Nothing is ever sent to its connections.
            let server = Server::limit(rig.cores, &["limit-stream".to_owned()])?;
            limits.push(hold(rig, server, carrier, connections, length)?);
        }
        rows.push(row(carrier, connections, alive, &products, &limits));
    }
    Ok(rows)
}

/// What holding connections took, for each.
struct Held {
    user: f64,
    resident: f64,
    proportional: f64,
    /// Share of a core.
    core: f64,
    /// Keep-alives and pings while that was measured.
    kept_alive: u64,
}

fn hold(
    rig: &Rig,
    server: Server,
    carrier: Carrier,
    connections: usize,
    length: Duration,
) -> Result<Held, Error> {
    let tenant = rig.tenant();
    let series = Series::new(0, 1, 200);
    let query = |_: usize| format!("view=events&kind=telemetry&tenant={tenant}");
    let plan = |connections| Plan {
        address: server.address,
        carrier,
        connections,
        query: &query,
        series: &series,
        keyed: false,
        latency: false,
    };
    let mut warm = Load::open(&plan(WARM), &rig.clock)?;
    rest(length, &mut warm)?;
    let before = machine::memory(server.pid())?;
    let mut load = Load::open(&plan(connections), &rig.clock)?;
    rest(length, &mut load)?;
    let after = machine::memory(server.pid())?;
    let (stretch, control) = (Stretch::begin(server.pid())?, load.control());
    rest(length, &mut load)?;
    let used = stretch.end()?;
    let each = |of: &dyn Fn(&Memory) -> u64| (of(&after) as f64 - of(&before) as f64) / connections as f64;
    let held = Held {
        user: each(&|memory| memory.user),
        resident: each(&|memory| memory.resident),
        proportional: each(&|memory| memory.proportional),
        core: used.server / used.seconds,
        kept_alive: load.control() - control,
    };
    drop((warm, load));
    server.end()?;
    Ok(held)
}

/// Holds the connections for so long, reading what comes.
fn rest(length: Duration, load: &mut Load) -> Result<(), Error> {
    let until = Instant::now() + length;
    let deadline = until + length + super::delivery::REST;
    load.run(deadline, "while nothing is sent", |_| Instant::now() >= until)
}

fn row(carrier: Carrier, connections: usize, alive: Duration, products: &[Held], limits: &[Held]) -> Row {
    let median = |figure: &dyn Fn(&Held) -> f64| Spread::new(products.iter().map(figure)).median();
    Row {
        scenario: SCENARIO,
        variant: format!("{carrier} × {connections}"),
        measure: "user bytes a connection",
        sense: Sense::Cost,
        product: products.iter().map(|held| held.user).collect(),
        limit_is: "a list of sockets",
        limit: limits.iter().map(|held| held.user.max(1.0)).collect(),
        notes: format!(
            "resident {}, proportional {} bytes; {:.2} % of a core for 10,000, {} keep-alives in {} s",
            short(median(&|held| held.resident)),
            short(median(&|held| held.proportional)),
            median(&|held| held.core) * 100.0 * 10_000.0 / connections as f64,
            median(&|held| held.kept_alive as f64),
            alive.as_secs_f64(),
        ),
    }
}
