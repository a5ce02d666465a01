//! Does what the table says, cell by cell, while both tenants' devices go on all the time, and says what
//! came out otherwise.

use futures::StreamExt as _;
use futures::stream;
use serde_json::json;
use tests::api::Api;
use tests::device::Device;
use tests::tap::{Ended, Request, Tap};
use tests::wait::until;
use tokio::task::JoinSet;

use super::cast::{Cast, Credential, ELSEWHERE, FOREIGN, HIDDEN, OWN, Who, forged, id, members};
use super::cell::{Case, Cell};
use super::row::{Carrier, Expect, Place};

/// Rounds of everything that happens, while all streams are open.
const ROUNDS: usize = 3;
/// Things done at a time.
const AT_ONCE: usize = 8;
/// What trespassers write.
const TRESPASS: &str = "trespass";

/// A cell with what it takes.
pub(super) struct Ready {
    cell: Cell,
    credential: Credential,
    /// As it is shown.
    shown: String,
    request: Request,
}

/// A stream that was opened.
struct Open {
    ready: Ready,
    tap: Tap,
}

/// What came out otherwise than the table says.
#[derive(Default)]
pub(super) struct Findings(pub(super) Vec<String>);

impl Findings {
    fn add(&mut self, cell: &Cell, text: &str) {
        self.0.push(format!("{}: {text}", cell.title()));
    }

    /// Whatever came is searched for what must not be there.
    fn search(&mut self, ready: &Ready, tap: &Tap) {
        let says = ready.cell.says().concat();
        let sent = format!("{}{says}", ready.request.text());
        for mark in ready.cell.forbidden(&sent) {
            if tap.has(mark) {
                let all = tap.all();
                self.add(&ready.cell, &format!("{mark:?} passed: {all}"));
            }
        }
    }
}

/// All of it.
pub(super) async fn run(cast: &Cast, cells: Vec<Cell>) -> Findings {
    let mut findings = Findings::default();
    cast.furnish().await;
    let ready: Vec<Ready> = stream::iter(cells)
        .map(|cell| prepare(cast, cell))
        .buffered(AT_ONCE)
        .collect()
        .await;
    cast.wait();
    let (streams, requests): (Vec<Ready>, Vec<Ready>) =
        ready.into_iter().partition(|ready| ready.cell.is_stream());
    let streams = open(cast, streams, &mut findings).await;
    for n in 1..=ROUNDS {
        cast.round(n).await;
        for open in &streams {
            sees(open, n, &mut findings).await;
        }
    }
    let streams = end(cast, streams, &mut findings).await;
    cast.round(ROUNDS + 1).await;
    for open in &streams {
        sees(open, ROUNDS + 1, &mut findings).await;
        stands(open, &mut findings);
        findings.search(&open.ready, &open.tap);
    }
    ask(cast, requests, &mut findings).await;
    drop(streams);
    intact(cast, &mut findings).await;
    findings
}

async fn prepare(cast: &Cast, cell: Cell) -> Ready {
    let credential = cast.credential(&cell.who).await;
    let mut shown = match cell.place {
        Some(Place::Cookie(_)) => cast.session(&credential.text).await,
        _ => credential.text.clone(),
    };
    if cell.case == Case::Wrong {
        shown = forged(&shown);
    }
    let token = if cell.row.pattern.contains("{token…}") {
        let tenant = if cell.case == Case::Foreign {
            FOREIGN
        } else {
            cell.who.tenant
        };
        cast.thing(tenant, &super::cast::mark(tenant, "", 0)).await
    } else {
        String::new()
    };
    Ready {
        request: cell.request(&shown, &token),
        cell,
        credential,
        shown,
    }
}

/// The status that a cell's answer has at first.
fn status(cell: &Cell) -> u16 {
    let opens = if cell.row.carrier == Carrier::Socket {
        101
    } else {
        200
    };
    match cell.expect {
        Expect::Is(status) | Expect::Says(status, _) => status,
        Expect::Na | Expect::Silent | Expect::Shows | Expect::Ends(_) | Expect::Fault => opens,
    }
}

/// Tries every stream. Those that are only looked at come first: a device has one connection.
async fn open(cast: &Cast, mut streams: Vec<Ready>, findings: &mut Findings) -> Vec<Open> {
    let base = &cast.world.node.api.base;
    streams.sort_by_key(|ready| !matches!(ready.cell.case, Case::Misplaced | Case::Replaced));
    let mut open = Vec::new();
    for ready in streams {
        let tap = Tap::open(base, &ready.request).await;
        let (found, expected) = (tap.status().await, status(&ready.cell));
        if found != expected {
            let all = tap.all();
            findings.add(&ready.cell, &format!("{found} instead of {expected}: {all}"));
            continue;
        }
        if !matches!(found, 101 | 200) {
            tap.answered().await;
            findings.search(&ready, &tap);
            continue;
        }
        if ready.cell.case == Case::Replaced {
            continue;
        }
        for text in ready.cell.says() {
            tap.say(&text).await;
        }
        if let Expect::Says(_, text) = ready.cell.expect {
            tap.until(text).await;
        }
        open.push(Open { ready, tap });
    }
    open
}

/// Whoever may see, sees what happened in round `n`.
async fn sees(open: &Open, n: usize, findings: &mut Findings) {
    if open.ready.cell.expect != Expect::Shows {
        return;
    }
    let mark = open.ready.cell.mark(n);
    if !open.tap.has_within(&mark, tests::wait::DEADLINE).await {
        let all = open.tap.all();
        findings.add(&open.ready.cell, &format!("{mark} did not come: {all}"));
    }
}

/// Takes away what credentials are to lose, and sees those streams end, and nobody else's.
async fn end(cast: &Cast, streams: Vec<Open>, findings: &mut Findings) -> Vec<Open> {
    for Open { ready, .. } in &streams {
        let (cell, credential) = (&ready.cell, &ready.credential);
        if cell.case == Case::Revoked {
            cast.revoke(credential).await;
        } else if cell.case == Case::Expires {
            cast.change(credential, &json!({"expires": "1s"})).await;
        } else if cell.case == Case::Loses {
            let less = Who {
                grant: cell.row.lacking,
                ..cell.who.clone()
            };
            cast.change(credential, &members(&less)).await;
        }
    }
    let base = &cast.world.node.api.base;
    for Open { ready, tap } in &streams {
        let expected = match ready.cell.expect {
            Expect::Ends(code) => Ended::Closed(code),
            Expect::Fault => Ended::Fault,
            Expect::Na | Expect::Is(_) | Expect::Says(..) | Expect::Silent | Expect::Shows => continue,
        };
        let found = tap.ended().await;
        if found != expected {
            findings.add(&ready.cell, &format!("{found:?} instead of {expected:?}"));
        }
        // Whoever comes again learns that it is over.
        let again = Tap::open(base, &ready.request).await;
        let as_if = if ready.cell.case == Case::Loses {
            Case::Lacking
        } else {
            Case::Wrong
        };
        let refused = ready.cell.row.expected(as_if);
        let found = again.status().await;
        if Expect::Is(found) != refused {
            findings.add(&ready.cell, &format!("{found} instead of {refused:?} afterwards"));
        }
    }
    streams
}

/// Nothing came after an end, and what should go on did.
fn stands(open: &Open, findings: &mut Findings) {
    let Open { ready, tap } = open;
    let ends = matches!(ready.cell.expect, Expect::Ends(_) | Expect::Fault);
    match tap.end() {
        Some((ended, _)) if !ends => findings.add(&ready.cell, &format!("ended: {ended:?}")),
        Some(_) if tap.has(&ready.cell.mark(ROUNDS + 1)) => findings.add(&ready.cell, "it went on"),
        _ => {}
    }
}

/// Makes every request.
async fn ask(cast: &Cast, mut requests: Vec<Ready>, findings: &mut Findings) {
    // While the device is there.
    requests.sort_by_key(|ready| ready.cell.row.what != "send a command");
    let mut device = JoinSet::new();
    device.spawn(answers(cast.world.admin.clone()));
    until("the device is connected", async || {
        let document = cast.world.admin.get("/v1/devices?id=yard/van").await.json;
        (document["connected"] == true).then_some(())
    })
    .await;
    for ready in requests {
        if ready.cell.case == Case::Revoked {
            cast.revoke(&ready.credential).await;
        }
        let tap = Tap::open(&cast.world.node.api.base, &ready.request).await;
        let found = tap.status().await;
        tap.answered().await;
        let expected = status(&ready.cell);
        if found != expected {
            let all = tap.all();
            findings.add(&ready.cell, &format!("{found} instead of {expected}: {all}"));
        }
        let shown = match ready.cell.expect {
            Expect::Says(_, text) => text.to_owned(),
            Expect::Shows => ready.cell.mark(0).trim_end_matches("0x").to_owned(),
            Expect::Na | Expect::Is(_) | Expect::Silent | Expect::Ends(_) | Expect::Fault => String::new(),
        };
        if found == expected && !shown.is_empty() && !tap.has(&shown) {
            let all = tap.all();
            findings.add(&ready.cell, &format!("{shown} is not there: {all}"));
        }
        findings.search(&ready, &tap);
        if tap.has(&ready.shown) {
            findings.add(&ready.cell, "the credential came back");
        }
    }
}

/// A device that does what it is told.
async fn answers(admin: Api) {
    let mut device = Device::connect(&admin, &id("van")).await;
    loop {
        let command = device.command().await;
        let done = json!({"kind": "command", "command_id": command["command_id"], "status": "success",
            "output": "done"});
        device.send(&done).await;
    }
}

/// Nobody wrote where it may not.
async fn intact(cast: &Cast, findings: &mut Findings) {
    for (api, tenant, names) in [
        (
            &cast.foreign,
            FOREIGN,
            &["van", "bus", "tram", "spare", ELSEWHERE][..],
        ),
        (&cast.world.admin, OWN, &[HIDDEN]),
    ] {
        for name in names {
            let document = api.get(&format!("/v1/devices?id={}", id(name))).await;
            let encoded = id(name).replace('/', "%2F");
            let history = api.get(&format!("/v1/devices/{encoded}/events?limit=1000")).await;
            let is_there = document.status == 200 && history.status == 200;
            let is_written = [&document, &history].iter().any(|answer| {
                let text = &answer.text;
                text.contains(TRESPASS) || text.contains("\"kind\":\"deleted\"")
            });
            // The others are entitled to their own devices' sockets.
            let is_own = tenant == FOREIGN && *name == "bus";
            if !is_there || (is_written && !is_own) {
                let text = &history.text;
                findings
                    .0
                    .push(format!("{tenant}'s {name} was written to: {text}"));
            }
        }
    }
}
