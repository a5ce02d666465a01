//! What can happen.

use rand::RngExt as _;
use rand::rngs::StdRng;
use schemas::Body;

use super::faults::{Done, Effect, Fault};
use crate::fleet::{self, pick};

/// Processes that there may be at once.
pub(super) const PROCESSES: usize = 3;
/// Devices of each tenant that keep sending, and that send as it comes.
pub(super) const FAITHFUL: usize = 2;
pub(super) const WILD: usize = 3;

/// One thing that happens.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A device sends something that occurred so many seconds ago, and that ingest takes so long to append.
    Send {
        tenant: usize,
        device: Device,
        ago: i64,
        lag_ms: i64,
        body: Box<Body>,
    },
    /// One of the last events is sent again.
    Again { back: usize },
    /// Somebody closes one of the last alerts that rules opened.
    Close { back: usize },
    /// The alert rule that comes and goes is put, or removed.
    Rule { is_put: bool },
    /// Something that is about no alert rule is told to all processes.
    Token,
    /// What is no event stands in the log.
    Foreign { partition: u32 },
    /// Time passes.
    Wait { ms: u64 },
    /// All clocks jump, as when machines were suspended or set right.
    Jump { seconds: i64 },
    /// A process starts, unless it runs.
    Start { process: usize },
    /// It ends as it should.
    Stop { process: usize },
    /// It ends at once.
    Kill { process: usize },
    /// Its group does not hear of it, nor it of its group.
    Isolate { process: usize, seconds: u64 },
    /// Something goes wrong with one of its next effects.
    Fault {
        process: usize,
        effect: Effect,
        skip: u64,
        fault: Fault,
    },
    /// Transactions become readable later than their answer.
    Slow { ms: u64 },
    /// Alert rules, and what else is told to all processes, reach them late.
    Late { ms: u64 },
}

/// A device of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    Faithful(usize),
    Wild(usize),
}

impl Device {
    pub(super) fn name(self) -> String {
        match self {
            Self::Faithful(number) => format!("faithful-{number}"),
            Self::Wild(number) => format!("wild-{number}"),
        }
    }
}

impl Step {
    pub(super) fn any(random: &mut StdRng) -> Self {
        let process = random.random_range(0..PROCESSES);
        match random.random_range(0..100) {
            0..=39 => Self::send(random),
            40..=44 => Self::Again {
                back: random.random_range(0..40),
            },
            45 => Self::Close {
                back: random.random_range(0..6),
            },
            46 => Self::Rule {
                is_put: random.random_bool(0.6),
            },
            47 if random.random_bool(0.5) => Self::Token,
            47 => Self::Foreign {
                partition: random.random_range(0..2),
            },
            48..=67 => Self::Wait { ms: wait(random) },
            68 | 69 => Self::Jump {
                seconds: pick(random, &[3_600, 45, 20, 8, -2, -20]),
            },
            70..=76 => Self::Start { process },
            77 | 78 => Self::Stop { process },
            79 | 80 => Self::Kill { process },
            81..=83 => Self::Isolate {
                process,
                seconds: random.random_range(1..60),
            },
            84..=97 => Self::fault(random, process),
            98 => Self::Late {
                ms: pick(random, &[0, 5, 700, 20_000]),
            },
            _ => Self::Slow {
                ms: pick(random, &[0, 5, 300, 4_000]),
            },
        }
    }

    fn send(random: &mut StdRng) -> Self {
        let tenant = random.random_range(0..fleet::TENANTS.len());
        let is_faithful = random.random_range(0..4) == 0;
        let device = if is_faithful {
            Device::Faithful(random.random_range(0..FAITHFUL))
        } else {
            Device::Wild(random.random_range(0..WILD))
        };
        let body = match random.random_range(0..20) {
            0 => Body::Deleted,
            1..=6 => fleet::report(random),
            _ => fleet::body(random),
        };
        // Who keeps sending says no goodbye.
        let is_goodbye = is_faithful && matches!(body, Body::Presence(_));
        let body = if is_goodbye { fleet::report(random) } else { body };
        let ago = if random.random_range(0..5) == 0 {
            random.random_range(0..30)
        } else {
            0
        };
        let lag_ms = match random.random_range(0..4) {
            0 => random.random_range(0..9_000),
            _ => 0,
        };
        Self::Send {
            tenant,
            device,
            ago,
            lag_ms,
            body: Box::new(body),
        }
    }

    fn fault(random: &mut StdRng, process: usize) -> Self {
        let done = pick(random, &[Done::Nothing, Done::Part, Done::All]);
        let fault = match random.random_range(0..10) {
            0..=3 => Fault::Die(done),
            4..=6 => Fault::Fail(done),
            7 | 8 => Fault::Stall {
                seconds: random.random_range(1..50),
                before: random.random_bool(0.5),
            },
            _ => Fault::Late {
                seconds: random.random_range(1..50),
            },
        };
        let effect = pick(random, &Effect::ALL);
        // Only what goes to the tables can arrive on its own: an old transaction is ended by the next owner.
        let fault = match (effect, fault) {
            (Effect::Append | Effect::Commit | Effect::Read, Fault::Late { .. }) => Fault::Die(done),
            (_, fault) => fault,
        };
        Self::Fault {
            process,
            effect,
            skip: random.random_range(0..3),
            fault,
        }
    }
}

fn wait(random: &mut StdRng) -> u64 {
    match random.random_range(0..20) {
        0..=11 => random.random_range(1..2_000),
        12..=16 => random.random_range(2_000..20_000),
        17 => random.random_range(20_000..90_000),
        // About when somebody is called silent.
        18 => pick(random, &[29_000, 570_000]) + random.random_range(0..3_000),
        _ => 660_000,
    }
}
