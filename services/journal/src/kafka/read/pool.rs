//! Consumers for ranges, made as they are needed.
//!
//! A consumer that was left in the middle of a log stays assigned for a moment: whoever reads on just there
//! gets what it has fetched ahead. A fetch brings many times a range, since batches are compressed, and
//! whoever is assigned anew throws it away.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::range::{Range, Standing};
use super::unavailable;
use crate::kafka::client::{self, Context};
use crate::{Block, ReadError};

/// How long a consumer waits for somebody to read on.
const STANDS_FOR: Duration = Duration::from_secs(2);

pub(super) struct Pool {
    config: ClientConfig,
    idle: Mutex<Vec<Idle>>,
    consumers_max: usize,
    permits: Arc<Semaphore>,
}

struct Idle {
    consumer: BaseConsumer<Context>,
    standing: Option<Standing>,
    since: Instant,
}

impl Pool {
    /// A pool, and the task that lets consumers go that nobody reads on with; it is to be kept as long.
    pub(super) fn new(config: ClientConfig, consumers_max: usize) -> (Arc<Self>, JoinSet<()>) {
        let consumers_max = consumers_max.max(1);
        let pool = Arc::new(Self {
            config,
            idle: Mutex::default(),
            consumers_max,
            permits: Arc::new(Semaphore::new(consumers_max)),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(tidy(Arc::downgrade(&pool)));
        (pool, tasks)
    }

    /// Reads with a consumer of the pool, on a thread that may block.
    pub(super) async fn read(pool: &Arc<Self>, range: Range) -> Result<Block, ReadError> {
        let permit = Arc::clone(&pool.permits)
            .acquire_owned()
            .await
            .map_err(unavailable)?;
        let pool = Arc::clone(pool);
        tokio::task::spawn_blocking(move || {
            let Idle {
                consumer, standing, ..
            } = pool.take(&range)?;
            let (block, standing) = range.read(&consumer, standing);
            pool.give_back(consumer, standing);
            drop(permit);
            block
        })
        .await
        .map_err(unavailable)?
    }

    /// The consumer that stands where the range begins; else one that stands nowhere, a new one, or the one
    /// that has stood for longest.
    fn take(&self, range: &Range) -> Result<Idle, ReadError> {
        let mut idle = self.idle.lock();
        let fits = |idle: &Idle| {
            idle.standing
                .as_ref()
                .is_some_and(|standing| range.goes_on(standing))
        };
        let found = idle
            .iter()
            .position(fits)
            .or_else(|| idle.iter().position(|idle| idle.standing.is_none()));
        if let Some(found) = found {
            return Ok(idle.remove(found));
        }
        // Those that are not idle work under other permits.
        let working = self.consumers_max - self.permits.available_permits().min(self.consumers_max);
        if idle.len() + working > self.consumers_max {
            return Ok(idle.remove(0));
        }
        drop(idle);
        Ok(Idle {
            consumer: client::create(&self.config, Context::default()).map_err(unavailable)?,
            standing: None,
            since: Instant::now(),
        })
    }

    fn give_back(&self, consumer: BaseConsumer<Context>, standing: Option<Standing>) {
        self.idle.lock().push(Idle {
            consumer,
            standing,
            since: Instant::now(),
        });
    }

    /// Consumers that have stood for too long stop fetching.
    fn tidy(&self) {
        let stands_long = |idle: &mut Idle| idle.standing.is_some() && idle.since.elapsed() >= STANDS_FOR;
        let long: Vec<Idle> = self.idle.lock().extract_if(.., stands_long).collect();
        for Idle {
            consumer, standing, ..
        } in long
        {
            drop(standing);
            if let Err(error) = Range::release(&consumer) {
                tracing::debug!(target: "kafka", %error, "a consumer cannot be released, and is given up");
                continue;
            }
            self.give_back(consumer, None);
        }
    }
}

async fn tidy(pool: Weak<Pool>) {
    let mut every = tokio::time::interval(STANDS_FOR / 2);
    loop {
        every.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        // Releasing waits for the client's own threads. A panic in it is told by the hook.
        drop(tokio::task::spawn_blocking(move || pool.tidy()).await);
    }
}
