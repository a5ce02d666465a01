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

impl Nginx {
    /// Starts it before the gateway at `gateway`, `host:port`.
    pub(crate) async fn start(gateway: &str) -> Self {
        loop {
            if let Some(nginx) = Self::start_at(&ports::free().to_string(), gateway).await {
                return nginx;
            }
        }
    }

    /// `None` where the port was taken meanwhile.
    async fn start_at(address: &str, gateway: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let site = site(address, gateway, &dir.path().display().to_string());
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

/// The file in `infra/nginx`, for these addresses.
fn site(address: &str, gateway: &str, dir: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/nginx/wakeline.conf");
    let mut text = std::fs::read_to_string(path).expect("the configuration");
    for (written, here) in [
        ("server 127.0.0.1:8080 ", format!("server {gateway} ")),
        ("listen 80;", format!("listen {address};")),
        ("/var/log/nginx/", format!("{dir}/")),
    ] {
        assert!(text.contains(written), "{path} has no {written:?}");
        text = text.replace(written, &here);
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
