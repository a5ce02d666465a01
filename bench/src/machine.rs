//! The machine: which core is whose, and what a process has used. Linux only (`/proc`).

use std::collections::HashMap;
use std::fs;
use std::process::{Child, Command};

use core_affinity::CoreId;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::{Error, io};

/// Descriptors of a run: as many connections, and what else a process holds.
const DESCRIPTORS: u64 = 40_000;

/// The server's core and that of the load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    server: Option<CoreId>,
    load: Option<CoreId>,
}

impl Cores {
    /// The first two cores that this process may use; both are one where there is only one.
    pub(crate) fn choose() -> Self {
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        Self {
            server: cores.first().copied(),
            load: cores.get(1).or(cores.first()).copied(),
        }
    }

    /// Puts this thread, and all that it starts later, on the core of the load.
    pub(crate) fn take_load(self) {
        self.load.map(core_affinity::set_for_current);
    }

    /// Starts a process on the server's core: a child has the affinity of the thread that starts it.
    pub(crate) fn spawn_server(self, command: &mut Command) -> std::io::Result<Child> {
        std::thread::scope(|scope| {
            let starter = scope.spawn(|| {
                self.server.map(core_affinity::set_for_current);
                command.spawn()
            });
            starter
                .join()
                .unwrap_or_else(|_| Err(std::io::Error::other("the starting thread panicked")))
        })
    }
}

impl std::fmt::Display for Cores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.server, self.load) {
            (Some(server), Some(load)) if server != load => {
                write!(f, "server pinned to core {}, load to core {}", server.id, load.id)
            }
            (Some(core), _) => write!(f, "server and load both on core {}: ratios mean little", core.id),
            (None, _) => write!(f, "no cores could be told apart: nothing is pinned"),
        }
    }
}

/// Lets this process, and those it starts, hold as many connections as the system allows.
pub(crate) fn raise_descriptor_limit() -> Result<(), Error> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit
        .maximum
        .map_or(DESCRIPTORS, |maximum| maximum.min(DESCRIPTORS));
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit {
            current: Some(wanted),
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, raised).map_err(|error| io("the limit of open files")(error.into()))?;
    }
    Ok(())
}

/// How many connections this process can hold.
pub(crate) fn connections_max() -> usize {
    let current = getrlimit(Resource::Nofile).current.unwrap_or(DESCRIPTORS);
    usize::try_from(current).unwrap_or(usize::MAX).saturating_sub(200)
}

/// Processor time of a process, all its threads, also those that ended between two looks.
pub(crate) struct Processor {
    pid: u32,
    threads: HashMap<String, u64>,
}

impl Processor {
    /// Of process `pid`.
    pub(crate) fn of(pid: u32) -> Self {
        Self {
            pid,
            threads: HashMap::new(),
        }
    }

    /// Of this process.
    pub(crate) fn own() -> Self {
        Self::of(std::process::id())
    }

    /// Seconds used since the process started.
    pub(crate) fn seconds(&mut self) -> Result<f64, Error> {
        let directory = format!("/proc/{}/task", self.pid);
        for entry in fs::read_dir(&directory).map_err(io(directory.clone()))? {
            let path = entry.map_err(io(directory.clone()))?.path();
            // A thread may end while it is looked at; what was seen of it last is kept.
            let Ok(text) = fs::read_to_string(path.join("schedstat")) else {
                continue;
            };
            let Some(used) = text.split(' ').next().and_then(|word| word.parse().ok()) else {
                continue;
            };
            self.threads.insert(path.to_string_lossy().into_owned(), used);
        }
        Ok(self.threads.values().sum::<u64>() as f64 / 1e9)
    }
}

/// Memory of a process, bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident.
    pub(crate) resident: u64,
    /// Resident, shared pages counted in part.
    pub(crate) proportional: u64,
    /// Its own pages that are no file's: what it allocated.
    pub(crate) user: u64,
}

/// Memory of process `pid`.
pub(crate) fn memory(pid: u32) -> Result<Memory, Error> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(io(path.clone()))?;
    let of = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kilobytes * 1024)
    };
    match (of("Rss:"), of("Pss:"), of("Anonymous:")) {
        (Some(resident), Some(proportional), Some(user)) => Ok(Memory {
            resident,
            proportional,
            user,
        }),
        _ => Err(Error::Unreadable {
            what: path,
            text: text.clone(),
        }),
    }
}

/// Calls of `write` and `writev` that process `pid` made; not those of `send`.
pub(crate) fn write_calls(pid: u32) -> Result<u64, Error> {
    let path = format!("/proc/{pid}/io");
    let text = fs::read_to_string(&path).map_err(io(path.clone()))?;
    text.lines()
        .find_map(|line| line.strip_prefix("syscw: ")?.parse().ok())
        .ok_or(Error::Unreadable { what: path, text })
}

/// The processor's name, cores and kernel, in one line.
pub(crate) fn description() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split(": ").nth(1))
        .unwrap_or("unknown processor");
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "{model}, {cores} cores, Linux {}, load average at start {load}",
        kernel.trim()
    )
}
