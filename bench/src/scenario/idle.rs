//! What a connection costs to which nothing is sent: user memory, resident memory, processor time.
//!
//! Memory is the growth of the process's own pages (`Anonymous` in `smaps_rollup`) from a few warm
//! connections to all of them, over the connections added.

use std::time::Instant;

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

pub(super) fn run(rig: &Rig) -> Result<Vec<Row>, Error> {
    let connections = rig.options.size(400, 5_000).min(machine::connections_max() / 2);
    let mut rows = Vec::new();
    for carrier in [Carrier::WebSocket, Carrier::Sse] {
        let (mut products, mut limits) = (Vec::new(), Vec::new());
        for _ in 0..rig.options.runs() {
            let (server, _) = rig.embedded()?;
            products.push(hold(rig, server, carrier, connections)?);
            let server = Server::limit(rig.cores, &["limit-stream".to_owned()])?;
            limits.push(hold(rig, server, carrier, connections)?);
        }
        rows.push(row(carrier, connections, &products, &limits));
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
}

fn hold(rig: &Rig, server: Server, carrier: Carrier, connections: usize) -> Result<Held, Error> {
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
    rest(rig, &mut warm)?;
    let before = machine::memory(server.pid())?;
    let mut load = Load::open(&plan(connections), &rig.clock)?;
    rest(rig, &mut load)?;
    let after = machine::memory(server.pid())?;
    let stretch = Stretch::begin(server.pid())?;
    rest(rig, &mut load)?;
    let used = stretch.end()?;
    let each = |of: &dyn Fn(&Memory) -> u64| (of(&after) as f64 - of(&before) as f64) / connections as f64;
    let held = Held {
        user: each(&|memory| memory.user),
        resident: each(&|memory| memory.resident),
        proportional: each(&|memory| memory.proportional),
        core: used.server / used.seconds,
    };
    drop((warm, load));
    server.end()?;
    Ok(held)
}

/// Holds the connections for as long as a run, reading what comes.
fn rest(rig: &Rig, load: &mut Load) -> Result<(), Error> {
    let until = Instant::now() + rig.options.length();
    let deadline = until + rig.options.length() + super::delivery::REST;
    load.run(deadline, "while nothing is sent", |_| Instant::now() >= until)
}

fn row(carrier: Carrier, connections: usize, products: &[Held], limits: &[Held]) -> Row {
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
            "resident {}, proportional {} bytes; {:.2} % of a core for 10,000",
            short(median(&|held| held.resident)),
            short(median(&|held| held.proportional)),
            median(&|held| held.core) * 100.0 * 10_000.0 / connections as f64,
        ),
    }
}
