//! `wakeline serve` as processes: started, killed, started again at the same address.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tempfile::TempDir;
use tests::api::{Answer, Api};
use tests::local::Local;
use tests::nodes::ADMIN_TOKEN;
use tests::ports;
use tests::program::{self, Program};
use tests::wait;
use tokio::process::{Child, Command};

use crate::cluster::Servers;

/// Variables of every process.
pub(crate) const VARIABLES: [(&str, &str); 3] = [
    ("WAKELINE_ADMIN_TOKEN", ADMIN_TOKEN),
    ("WAKELINE_ALLOW_WEAK_DURABILITY", "true"),
    ("WAKELINE_LOG_JSON", "true"),
];

/// `command` on `servers`.
pub(crate) fn with_flags<'a>(command: &'a str, servers: &'a Servers, more: &[&'a str]) -> Vec<&'a str> {
    [command]
        .into_iter()
        .chain(servers.flags())
        .chain(more.iter().copied())
        .collect()
}

/// Servers of a test's own with topics and tables on them, and the nodes that are started there.
pub(crate) struct Cluster {
    /// Their addresses.
    pub(crate) servers: Servers,
    local: Local,
}

impl Cluster {
    /// A broker of the test's own, and a keyspace on the CQL server that tests share. `None`, said aloud, where there are
    /// no servers.
    pub(crate) async fn up() -> Option<Self> {
        let shared = Servers::shared()?;
        let local = Local::up(&["--only", "kafka"]).await;
        let kafka = local.variable("WAKELINE_KAFKA");
        Some(Self::migrated(Servers { kafka, ..shared }, local).await)
    }

    /// A broker and a CQL server of the test's own.
    pub(crate) async fn apart() -> Option<Self> {
        // Whether servers can be had at all is told by the ones that tests share.
        let shared = Servers::shared()?;
        let local = Local::up(&[]).await;
        let servers = Servers {
            kafka: local.variable("WAKELINE_KAFKA"),
            cql: local.variable("WAKELINE_CQL"),
            ..shared
        };
        Some(Self::migrated(servers, local).await)
    }

    async fn migrated(servers: Servers, local: Local) -> Self {
        let arguments = with_flags("migrate", &servers, &["--partitions", "8"]);
        let ended = Program::run(&arguments, &VARIABLES).await;
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        assert!(ended.output.contains("layout written"), "{}", ended.output);
        Self { servers, local }
    }

    /// Starts a node of `role` and waits until it is ready.
    pub(crate) async fn start(&self, role: &'static str) -> Serving {
        self.start_with(role, &[]).await
    }

    /// [`Self::start`], with `more` flags.
    pub(crate) async fn start_with(&self, role: &'static str, more: &'static [&'static str]) -> Serving {
        Serving::start(role, &self.servers, more).await
    }

    /// `kill`, `start`, `freeze` or `thaw`, to `kafka-1` or `cql`.
    pub(crate) async fn tell(&self, what: &str, server: &str) {
        let told = self.local.tell(what, server).await;
        told.unwrap_or_else(|said| panic!("{what} {server}: {said}"));
    }
}

/// A node as a process of its own; killed when dropped.
pub(crate) struct Serving {
    role: &'static str,
    more: &'static [&'static str],
    servers: Servers,
    child: Child,
    log: TempDir,
    /// Its API, as `system`. It stays the same over restarts.
    pub(crate) api: Api,
    /// `host:port` of the operators' listener.
    admin: String,
}

impl Serving {
    /// Starts a node on free ports and waits until it is ready.
    async fn start(role: &'static str, servers: &Servers, more: &'static [&'static str]) -> Self {
        let log = tempfile::tempdir().expect("a directory");
        let (child, path) = spawn(
            role,
            servers,
            &log,
            [&ports::free().to_string(), &ports::free().to_string()],
            more,
        );
        let (public, admin) = wait::until("the node listens", || async { listening(&path) }).await;
        let api = Api::new(&format!("http://{public}"), ADMIN_TOKEN);
        let node = Self {
            role,
            more,
            servers: servers.clone(),
            child,
            log,
            api,
            admin,
        };
        node.ready().await;
        node
    }

    /// Ends it as a crash would, at once.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Ends it as an operator does, and waits until it has drained.
    pub(crate) async fn drain(&mut self) {
        program::terminate(&self.child).await;
        let ended = wait::within("the drain", self.child.wait()).await;
        let status = ended.expect("it ended");
        assert!(status.success(), "{status}");
    }

    /// Starts it again at the same address, after [`Self::kill`].
    pub(crate) async fn start_again(&mut self) {
        let public = self.api.base.trim_start_matches("http://");
        (self.child, _) = spawn(
            self.role,
            &self.servers,
            &self.log,
            [public, &self.admin],
            self.more,
        );
        self.ready().await;
    }

    /// What the operators' listener answers at `path`.
    pub(crate) async fn operators(&self, path: &str) -> Answer {
        Api::new(&format!("http://{}", self.admin), "").get(path).await
    }

    /// Whether the process that was started is still there.
    pub(crate) fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    async fn ready(&self) {
        let operators = Api::new(&format!("http://{}", self.admin), "");
        wait::until(&format!("the {} is ready", self.role), || async {
            let request = operators.request(reqwest::Method::GET, "/ready").send().await;
            request.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
    }
}

fn spawn(
    role: &str,
    servers: &Servers,
    log: &TempDir,
    listen: [&str; 2],
    flags: &[&str],
) -> (Child, PathBuf) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let path = log
        .path()
        .join(format!("{}.json", NUMBER.fetch_add(1, Ordering::Relaxed)));
    let file = std::fs::File::create(&path).expect("a file");
    let more = ["--role", role, "--listen", listen[0], "--admin-listen", listen[1]];
    let child = Command::new(program::path())
        .args(with_flags("serve", servers, &more))
        .args(flags)
        .env_clear()
        .envs(VARIABLES)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file)
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    (child, path)
}

impl Drop for Serving {
    /// What a node said is the first thing to read when a test fails.
    #[expect(clippy::print_stdout, reason = "for whoever reads why a test failed")]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for file in std::fs::read_dir(self.log.path()).into_iter().flatten().flatten() {
            let said = std::fs::read_to_string(file.path()).unwrap_or_default();
            println!("{} said: {said}", self.role);
        }
    }
}

/// The public and the operators' address, once the log tells them.
fn listening(log: &PathBuf) -> Option<(String, String)> {
    let text = std::fs::read_to_string(log).ok()?;
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let fields = lines
        .map(|line| line["fields"].clone())
        .find(|fields| fields["message"] == "listening")?;
    Some((
        fields["public"].as_str()?.to_owned(),
        fields["admin"].as_str()?.to_owned(),
    ))
}
