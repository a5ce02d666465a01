//! nginx with the configuration that users deploy, its addresses changed.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tests::{ports, wait};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// A running nginx; ends when dropped.
pub(crate) struct Nginx {
    _child: Child,
    _dir: TempDir,
    address: String,
}

/// What stands between a client and a node, beside the proxy that cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Direct,
    ThroughNginx,
}

impl Way {
    /// Starts what stands before the gateway at `gateway`, `host:port`.
    pub(crate) async fn before(self, gateway: &str) -> Option<Nginx> {
        match self {
            Self::Direct => None,
            Self::ThroughNginx => Some(Nginx::start(&[gateway]).await),
        }
    }
}

impl Nginx {
    /// Starts it before the one or two gateways at `gateways`, `host:port`.
    pub(crate) async fn start(gateways: &[&str]) -> Self {
        Self::start_with(gateways, &[]).await
    }

    /// The same with other parts in the configuration: what is written there, and what stands here.
    pub(crate) async fn start_with(gateways: &[&str], parts: &[(&str, &str)]) -> Self {
        loop {
            if let Some(nginx) = Self::start_at(&ports::free().to_string(), gateways, parts).await {
                return nginx;
            }
        }
    }

    /// `None` where the port was taken meanwhile.
    async fn start_at(address: &str, gateways: &[&str], parts: &[(&str, &str)]) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let site = site(address, gateways, parts, &dir.path().display().to_string());
        std::fs::write(dir.path().join("wakeline.conf"), site).expect("written");
        std::fs::write(dir.path().join("nginx.conf"), main(&dir)).expect("written");
        let mut child = Command::new(program())
            .arg("-p")
            .arg(dir.path())
            .args(["-c", "nginx.conf", "-e", "stderr"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("nginx starts; tests/clients/install installs it");
        let deadline = Instant::now() + wait::DEADLINE;
        while TcpStream::connect(address).await.is_err() {
            if child.try_wait().expect("a process").is_some() {
                return None;
            }
            assert!(Instant::now() < deadline, "nginx does not listen");
            sleep(Duration::from_millis(20)).await;
        }
        // Whoever answers there is nginx: it would have ended if somebody else had the port.
        let lives = child.try_wait().expect("a process").is_none();
        lives.then(|| Self {
            _child: child,
            _dir: dir,
            address: address.to_owned(),
        })
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

/// The file in `infra/nginx`, for these addresses and with these parts.
fn site(address: &str, gateways: &[&str], parts: &[(&str, &str)], dir: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/nginx/wakeline.conf");
    let mut text = std::fs::read_to_string(path).expect("the configuration");
    let mut put = |written: &str, here: &str| {
        assert!(text.contains(written), "{path} has no {written:?}");
        text = text.replace(written, here);
    };
    put("server 127.0.0.1:8080 ", &format!("server {} ", gateways[0]));
    if let Some(second) = gateways.get(1) {
        // It stands there for whoever has more than one.
        put("# server 127.0.0.1:8081 ", &format!("server {second} "));
    }
    put("listen 80;", &format!("listen {address};"));
    put("/var/log/nginx/", &format!("{dir}/"));
    for (written, here) in parts {
        put(written, here);
    }
    text
}

/// What Debian's `nginx.conf` is around it: one process here, so that none is left behind.
fn main(dir: &TempDir) -> String {
    let dir = dir.path().display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {dir}/{name};\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\npid {dir}/nginx.pid;\nevents {{}}\nhttp {{\n{temporary}\
         \x20   include {dir}/wakeline.conf;\n}}\n"
    )
}

/// Its directory is not on every user's `PATH`.
fn program() -> PathBuf {
    let debian = PathBuf::from("/usr/sbin/nginx");
    if debian.exists() { debian } else { "nginx".into() }
}
