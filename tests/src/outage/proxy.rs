//! A proxy on loopback: forwards, stalls, cuts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

/// Bytes that are moved at once.
const CHUNK: usize = 64 << 10;

/// A listener that forwards; dropping it cuts everything.
pub struct Proxy {
    /// What it is between.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    target: watch::Sender<Option<SocketAddr>>,
    stalled: watch::Sender<bool>,
    cut: broadcast::Sender<()>,
    _tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Wires {
    target: watch::Receiver<Option<SocketAddr>>,
    stalled: watch::Receiver<bool>,
    cut: Arc<broadcast::Sender<()>>,
}

impl Proxy {
    /// Listens on a free port; forwards once it has a target.
    pub async fn bind(name: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (target, target_seen) = watch::channel(None);
        let (stalled, stalled_seen) = watch::channel(false);
        let (cut, _) = broadcast::channel(1);
        let wires = Wires {
            target: target_seen,
            stalled: stalled_seen,
            cut: Arc::new(cut.clone()),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, wires));
        Self {
            name,
            address,
            target,
            stalled,
            cut,
            _tasks: tasks,
        }
    }

    /// From now on forwards to `target`.
    pub fn forward_to(&self, target: SocketAddr) {
        self.target.send_replace(Some(target));
    }

    /// Forwards nothing for `duration`; connections stay open and nothing is lost.
    pub async fn stall(&self, duration: Duration) {
        self.stalled.send_replace(true);
        tokio::time::sleep(duration).await;
        self.stalled.send_replace(false);
    }

    /// Closes every connection at once.
    pub fn cut(&self) {
        // Without a connection nobody listens.
        let _nobody = self.cut.send(());
    }
}

async fn accept(listener: TcpListener, wires: Wires) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((inner, _)) = accepted {
                    connections.spawn(serve(inner, wires.clone()));
                }
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn serve(near: TcpStream, wires: Wires) {
    let mut cut = wires.cut.subscribe();
    let mut stalled = wires.stalled.clone();
    let forward = async {
        let flows = stalled.wait_for(|stalled| !stalled).await.is_ok();
        let target = *wires.target.borrow();
        let (true, Some(target)) = (flows, target) else {
            return;
        };
        let Ok(far) = TcpStream::connect(target).await else {
            return;
        };
        // Small writes must not wait for each other's acknowledgement.
        if near
            .set_nodelay(true)
            .and_then(|()| far.set_nodelay(true))
            .is_err()
        {
            return;
        }
        let (near_read, near_write) = near.into_split();
        let (far_read, far_write) = far.into_split();
        // Either direction's end ends both: what is forwarded never half-closes.
        tokio::select! {
            () = pump(near_read, far_write, wires.stalled.clone()) => {}
            () = pump(far_read, near_write, wires.stalled.clone()) => {}
        }
    };
    tokio::select! {
        () = forward => {}
        _cut = cut.recv() => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut stalled: watch::Receiver<bool>) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if stalled.wait_for(|stalled| !stalled).await.is_err() || to.write_all(&buffer[..read]).await.is_err()
        {
            return;
        }
    }
}
