//! Blocks of the log for streams behind the rings: each read once for all who wait, kept in one cache
//! of bounded size, read in turns by tenant and within each tenant's rate.

mod cache;

use std::sync::Arc;
use std::time::Duration;

use journal::{Offset, Partition, ReadError, Reader, Topic};
use parking_lot::Mutex;
use prometheus::IntCounter;
use rustc_hash::FxHashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::mailbox::{BlockKey, Mailbox, Reply};
use super::record::Chunk;
use super::schedule::{Schedule, Turn};
use crate::settings::Settings;
use cache::Cache;

/// What there is at the offset that was asked for.
#[derive(Clone)]
pub(crate) enum BlockAnswer {
    /// A chunk that covers it.
    Chunk(Arc<Chunk>, Room),
    /// Nothing yet: it is the log's end, as far as the reader knows.
    End,
    /// The log begins after it, or ends before it.
    OutOfRange { start: Offset, end: Offset },
    /// The partition cannot be read at present.
    Unavailable,
}

/// Holds a chunk's room among those that wait for the turn of whoever asked.
pub(crate) type Room = Arc<OwnedSemaphorePermit>;

/// Asks for blocks.
#[derive(Clone)]
pub(crate) struct Blocks {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
}

struct Shared {
    cache: Mutex<Cache>,
    counters: Counters,
}

struct Request {
    key: BlockKey,
    tenant: Box<str>,
    reply: Arc<Mailbox>,
}

/// What is counted of blocks.
#[derive(Clone)]
pub(crate) struct Counters {
    /// Answered by the cache.
    pub(crate) hits: IntCounter,
    /// Read from the log.
    pub(crate) reads: IntCounter,
    /// Bytes of these.
    pub(crate) read_bytes: IntCounter,
}

impl Blocks {
    /// The asking side, and the task that reads.
    pub(crate) fn new(
        settings: &Settings,
        reader: Arc<dyn Reader>,
        counters: Counters,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let shared = Arc::new(Shared {
            cache: Mutex::new(Cache::new(settings.block_cache_bytes_max)),
            counters,
        });
        let (requests, inbox) = mpsc::channel(settings.block_queue_max.max(1));
        let service = Service {
            shared: Arc::clone(&shared),
            reader,
            bytes: settings.block_bytes,
            align: settings.block_align.max(1),
            reads_max: settings.block_reads_max.max(1),
            room: Arc::new(Semaphore::new(
                settings.block_answers_max.clamp(1, Semaphore::MAX_PERMITS),
            )),
            waiting: FxHashMap::default(),
            schedule: Schedule::new(settings.catch_up_bytes_per_s),
            reads: JoinSet::new(),
            started: Instant::now(),
        };
        (Self { shared, requests }, service.run(inbox))
    }

    /// The block in the cache that covers an offset.
    pub(crate) fn cached(&self, topic: Topic, partition: Partition, at: Offset) -> Option<Arc<Chunk>> {
        let chunk = self.shared.cache.lock().find(topic, partition, at)?;
        self.shared.counters.hits.inc();
        Some(chunk)
    }

    /// Asks for the block that covers an offset; `reply` gets one answer. False when too many wait.
    pub(crate) fn request(&self, key: BlockKey, tenant: &str, reply: &Arc<Mailbox>) -> bool {
        let request = Request {
            key,
            tenant: tenant.into(),
            reply: Arc::clone(reply),
        };
        self.requests.try_send(request).is_ok()
    }

    /// Bytes in the cache.
    pub(crate) fn cached_bytes(&self) -> usize {
        self.shared.cache.lock().bytes()
    }
}

/// The task that reads blocks.
struct Service {
    shared: Arc<Shared>,
    reader: Arc<dyn Reader>,
    bytes: usize,
    align: u64,
    reads_max: usize,
    /// Blocks that are being read, or were and whose readers' turns have not come: the cache does not bound them.
    room: Arc<Semaphore>,
    /// Who waits for the block that is read from `BlockKey::at`.
    waiting: FxHashMap<BlockKey, Waiting>,
    schedule: Schedule<Turned>,
    reads: JoinSet<Read>,
    started: Instant,
}

#[derive(Default)]
struct Waiting {
    requests: Vec<Request>,
    under_way: bool,
}

/// A block in a tenant's queue. One block may stand in several: whoever's turn comes first reads it.
struct Turned {
    tenant: Box<str>,
    from: BlockKey,
}

struct Read {
    from: BlockKey,
    tenant: Box<str>,
    result: Result<Chunk, ReadError>,
    room: OwnedSemaphorePermit,
}

/// What the next read waits for, besides requests and the end of others.
enum Wait {
    Nothing,
    /// So many milliseconds.
    Time(u64),
    /// Somebody's turn.
    Room,
}

impl Service {
    async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        loop {
            let wait = self.start_reads();
            let room = Arc::clone(&self.room);
            let due = async {
                match wait {
                    Wait::Nothing => std::future::pending().await,
                    Wait::Time(wait_ms) => tokio::time::sleep(Duration::from_millis(wait_ms)).await,
                    Wait::Room => drop(room.acquire().await),
                }
            };
            tokio::select! {
                request = inbox.recv() => match request {
                    Some(request) => self.enqueue_aligned(request),
                    None => return,
                },
                Some(Ok(read)) = self.reads.join_next(), if !self.reads.is_empty() => self.finish(read),
                () = due => {}
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Starts what may be started; answers what to wait for.
    fn start_reads(&mut self) -> Wait {
        while self.reads.len() < self.reads_max {
            let now_ms = self.now_ms();
            let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
                return Wait::Room;
            };
            let Turned { tenant, from } = match self.schedule.next(now_ms) {
                Turn::Now(turned) => turned,
                Turn::At(at_ms) => return Wait::Time(at_ms.saturating_sub(now_ms)),
                Turn::Idle => return Wait::Nothing,
            };
            let Some(waiting) = self.waiting.get_mut(&from).filter(|waiting| !waiting.under_way) else {
                continue;
            };
            let cached = self.shared.cache.lock().find(from.topic, from.partition, from.at);
            if let Some(chunk) = cached {
                // Another read that began before it has reached it meanwhile.
                self.answer_all(from, &chunk, &Arc::new(room));
                continue;
            }
            waiting.under_way = true;
            let (reader, bytes) = (Arc::clone(&self.reader), self.bytes);
            self.reads.spawn(async move {
                let result = reader.read(from.topic, from.partition, from.at, bytes).await;
                let result = result.map(|batch| Chunk::new(from.topic, from.partition, from.at, batch));
                Read {
                    from,
                    tenant,
                    result,
                    room,
                }
            });
        }
        Wait::Nothing
    }

    /// A block begins where one ends that is in the cache, so that the log is read on in one go; else at a
    /// multiple, so that streams at different offsets share it.
    fn enqueue_aligned(&mut self, request: Request) {
        let BlockKey { topic, partition, at } = request.key;
        let mut cache = self.shared.cache.lock();
        if let Some(chunk) = cache.find(topic, partition, at) {
            drop(cache);
            // The cache may forget it before its turn comes.
            return match Arc::clone(&self.room).try_acquire_owned() {
                Ok(room) => answer(&request, BlockAnswer::Chunk(chunk, Arc::new(room))),
                Err(_) => self.enqueue(request.key, request),
            };
        }
        let before = at
            .checked_sub(1)
            .and_then(|last| cache.find(topic, partition, last));
        drop(cache);
        let at = match before {
            Some(chunk) if chunk.next == at => at,
            _ => at - at % self.align,
        };
        self.enqueue(BlockKey { at, ..request.key }, request);
    }

    fn enqueue(&mut self, from: BlockKey, request: Request) {
        let now_ms = self.now_ms();
        let waiting = self.waiting.entry(from).or_default();
        if !waiting.under_way
            && waiting
                .requests
                .iter()
                .all(|other| other.tenant != request.tenant)
        {
            let turned = Turned {
                tenant: request.tenant.clone(),
                from,
            };
            self.schedule.push(&request.tenant, turned, now_ms);
        }
        waiting.requests.push(request);
    }

    fn finish(&mut self, read: Read) {
        let now_ms = self.now_ms();
        let bytes = read.result.as_ref().map_or(0, |chunk| chunk.value_bytes);
        self.schedule.charge(&read.tenant, bytes, now_ms);
        self.shared.counters.reads.inc();
        self.shared.counters.read_bytes.inc_by(bytes as u64);
        let chunk = match read.result {
            Ok(chunk) => Arc::new(chunk),
            Err(error) => return self.fail_all(read.from, error),
        };
        self.shared.cache.lock().insert(read.from, &chunk);
        self.answer_all(read.from, &chunk, &Arc::new(read.room));
    }

    fn answer_all(&mut self, from: BlockKey, chunk: &Arc<Chunk>, room: &Room) {
        for request in self.waiting.remove(&from).unwrap_or_default().requests {
            self.deliver(from, chunk, room, request);
        }
    }

    fn fail_all(&mut self, from: BlockKey, error: ReadError) {
        let requests = self.waiting.remove(&from).unwrap_or_default().requests;
        match error {
            ReadError::Unavailable { reason } => {
                tracing::warn!(
                    topic = from.topic.name(),
                    partition = from.partition,
                    reason,
                    "a block cannot be read"
                );
                for request in requests {
                    answer(&request, BlockAnswer::Unavailable);
                }
            }
            ReadError::OutOfRange { start, end } => {
                for request in requests {
                    if request.key.at == from.at || request.key.at < start || request.key.at > end {
                        answer(&request, BlockAnswer::OutOfRange { start, end });
                    } else {
                        // Only the aligned beginning is gone.
                        self.enqueue(request.key, request);
                    }
                }
            }
        }
    }

    /// Answers with a chunk that was read; one that does not reach the offset is followed by a read
    /// from just there.
    fn deliver(&mut self, from: BlockKey, chunk: &Arc<Chunk>, room: &Room, request: Request) {
        if chunk.covers(request.key.at) {
            answer(&request, BlockAnswer::Chunk(Arc::clone(chunk), Arc::clone(room)));
        } else if request.key.at == from.at {
            answer(&request, BlockAnswer::End);
        } else {
            self.enqueue(request.key, request);
        }
    }
}

fn answer(request: &Request, answer: BlockAnswer) {
    request.reply.reply(Reply::Block {
        key: request.key,
        answer,
    });
}
