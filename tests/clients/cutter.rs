//! A proxy on loopback that passes streams on and cuts them, and remembers what it passed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tests::wait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::client::Client;

/// Longest head of a request.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It ends, wherever the stream stands.
    Close,
    /// It is reset.
    Reset,
}

/// When connections are cut.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// For one stream after the other: after how many bytes of the answer, and how. Later ones are whole.
    pub(crate) cuts: VecDeque<(usize, Cut)>,
    /// Never between the two line ends that end a block.
    pub(crate) spares_block_ends: bool,
}

/// One stream that came through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visit {
    /// The head of its request.
    pub(crate) head: String,
    /// What the client was given of the answer.
    pub(crate) given: Vec<u8>,
    /// After how many bytes it was to be cut, and how; none for a request that was refused.
    pub(crate) cut: Option<(usize, Cut)>,
}

impl Visit {
    /// The cursors that it was given in whole blocks or frames.
    pub(crate) fn cursors(&self, client: Client) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.given);
        if client.is_web_socket() {
            // Frames of a server are not masked.
            let cursors = text.split("\"cursor\":\"").skip(1);
            return cursors
                .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
                .collect();
        }
        let (whole, _) = text.rsplit_once("\n\n").unwrap_or_default();
        let ids = whole.lines().filter_map(|line| line.strip_prefix("id: "));
        ids.map(str::to_owned).collect()
    }

    /// Where the client asked to resume.
    pub(crate) fn asked(&self, client: Client) -> Option<String> {
        if client.is_web_socket() {
            let (_, rest) = self.head.split_once("&last_event_id=")?;
            return rest.split([' ', '&']).next().map(str::to_owned);
        }
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = headers.find(|(name, _)| name.eq_ignore_ascii_case("last-event-id"))?;
        Some(found.1.to_owned())
    }
}

/// The proxy. It ends when dropped, and everything that it carries with it.
pub(crate) struct Cutter {
    /// `host:port`.
    host: String,
    shared: Arc<Shared>,
    _work: JoinSet<()>,
}

struct Shared {
    upstream: String,
    plan: Mutex<Plan>,
    visits: Mutex<Vec<Visit>>,
    cut_all: tokio::sync::watch::Sender<usize>,
}

impl Cutter {
    /// A proxy to `upstream`, `host:port`.
    pub(crate) async fn start(upstream: &str, plan: Plan) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let host = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            plan: Mutex::new(plan),
            visits: Mutex::default(),
            cut_all: tokio::sync::watch::channel(0).0,
        });
        let mut work = JoinSet::new();
        work.spawn(accept(listener, Arc::clone(&shared)));
        Self {
            host,
            shared,
            _work: work,
        }
    }

    /// `http://…`
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.host)
    }

    /// `host:port`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Every stream so far.
    pub(crate) fn visits(&self) -> Vec<Visit> {
        self.shared.visits().clone()
    }

    /// How many planned cuts were not made. One after `usize::MAX` bytes is somebody else's.
    pub(crate) fn cuts_left(&self) -> usize {
        let is_whole = |visit: &&Visit| {
            visit
                .cut
                .is_some_and(|(after, _)| after != usize::MAX && visit.given.len() < after)
        };
        let whole = self.shared.visits().iter().filter(is_whole).count();
        let plan = self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner);
        plan.cuts.len() + whole
    }

    /// Cuts whatever is open.
    pub(crate) fn cut_all(&self) {
        self.shared.cut_all.send_modify(|times| *times += 1);
    }

    /// Waits until the stream with this number, from 0, satisfies `condition`.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        number: usize,
        condition: impl Fn(&Visit) -> Option<T>,
    ) -> T {
        wait::until(what, || async {
            self.shared.visits().get(number).and_then(&condition)
        })
        .await
    }
}

impl Shared {
    fn visits(&self) -> std::sync::MutexGuard<'_, Vec<Visit>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the next visit.
    fn enter(&self, head: &[u8]) -> usize {
        let mut visits = self.visits();
        visits.push(Visit {
            head: String::from_utf8_lossy(head).into_owned(),
            ..Visit::default()
        });
        visits.len() - 1
    }

    /// The cut of a visit whose answer begins with `answer`: none for one that is refused.
    fn cut_of(&self, number: usize, answer: &[u8]) -> Option<(usize, Cut)> {
        let answer = String::from_utf8_lossy(answer);
        let opens = answer.starts_with("HTTP/1.1 101") || answer.starts_with("HTTP/1.1 200");
        if !opens || answer.contains("event: fault") {
            return None;
        }
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let cut = plan.cuts.pop_front();
        drop(plan);
        self.visits()[number].cut = cut;
        cut
    }

    fn spares_block_ends(&self) -> bool {
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        plan.spares_block_ends
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(carry(client, Arc::clone(&shared)));
    }
}

async fn carry(mut client: TcpStream, shared: Arc<Shared>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        if !matches!(client.read_buf(&mut head).await, Ok(read) if read > 0) {
            return;
        }
    }
    // Nothing listens while the node is away; the client sees its connection end.
    let Ok(mut node) = TcpStream::connect(&shared.upstream).await else {
        return;
    };
    drop((client.set_nodelay(true), node.set_nodelay(true)));
    let number = shared.enter(&head);
    let mut how = None;
    if node.write_all(&head).await.is_err() {
        return;
    }
    let mut cut_all = shared.cut_all.subscribe();
    let (mut from_client, mut to_client) = client.split();
    let (mut from_node, mut to_node) = node.split();
    tokio::select! {
        // What a client sends (pongs, closes) is its own affair; its end ends the stream.
        _ = tokio::io::copy(&mut from_client, &mut to_node) => {}
        () = answer(&shared, number, &mut how, &mut from_node, &mut to_client) => {}
        _ = cut_all.changed() => {}
    }
    if how == Some(Cut::Reset) {
        drop(client.set_zero_linger());
    }
}

/// Passes the answer on, up to its cut, which is then to be made in the way that `how` is told.
async fn answer(
    shared: &Shared,
    number: usize,
    how: &mut Option<Cut>,
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
) {
    let mut buffer = vec![0; 8 << 10];
    let mut given = 0;
    let mut last = 0;
    let mut room = None;
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if given == 0 {
            (room, *how) = shared.cut_of(number, &buffer[..read]).unzip();
        }
        let mut length = room.map_or(read, |room| read.min(room.saturating_sub(given)));
        if length < read && shared.spares_block_ends() {
            let before = if length == 0 { last } else { buffer[length - 1] };
            length += usize::from(before == b'\n' && buffer[length] == b'\n');
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
        shared.visits()[number].given.extend_from_slice(&buffer[..length]);
        given += length;
        last = buffer[..length].last().copied().unwrap_or(last);
        if length < read {
            return;
        }
    }
}
