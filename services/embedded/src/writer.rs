//! The only writer of the log: group commit.
//!
//! It takes all that waits (up to a limit), gives offsets, writes one atomic batch with **one sync**,
//! and only then makes the records visible and answers. While it syncs, the next group gathers; so
//! one append alone costs one sync, and a thousand together cost one, too.
//!
//! After a failed write or sync nobody knows what is on the disk (the system may have dropped the
//! pages and will report success next time). So the appends of that batch are answered as unknown,
//! and nothing is written again until the process starts anew and recovers what is really there.

mod answer;
mod queue;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use fjall::{OwnedWriteBatch, PersistMode};
use journal::{CommitError, Offset, Position, Record};
use parking_lot::Mutex;

use crate::database::Tables;
use crate::identity::Durable;
use crate::keys;
use crate::partition::PartitionState;
use answer::{Answer, answer, refuse};

pub(crate) use queue::{
    AppendReply, ClaimKey, ClaimReply, CommitReply, Granted, Prepared, PushError, Queue, Ticket, Work,
};

/// What the writer shares with the rest of the engine.
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    /// Why the engine is read-only, once it is.
    pub(crate) failed: OnceLock<String>,
    pub(crate) durable: Mutex<Durable>,
    /// Makes the next batch fail as if its sync had.
    #[cfg(test)]
    pub(crate) fail_next: std::sync::atomic::AtomicBool,
}

/// The state of the writer's thread.
pub(crate) struct Writer {
    tables: Arc<Tables>,
    shared: Arc<Shared>,
    batch_bytes: usize,
    commit: u64,
    claims: HashMap<ClaimKey, Granted>,
}

impl Writer {
    /// Starts the thread. `commit` is the number of the last commit in `tables`.
    pub(crate) fn start(
        tables: Arc<Tables>,
        shared: Arc<Shared>,
        batch_bytes: usize,
        commit: u64,
    ) -> std::io::Result<JoinHandle<()>> {
        let mut writer = Self {
            tables,
            shared,
            batch_bytes,
            commit,
            claims: HashMap::new(),
        };
        std::thread::Builder::new()
            .name("wakeline-writer".to_owned())
            .spawn(move || {
                // Also when the thread panics, nobody may wait for an answer for ever.
                let _abandon = AbandonOnDrop(Arc::clone(&writer.shared));
                while let Some(work) = writer.shared.queue.take(writer.batch_bytes) {
                    writer.process(work);
                }
            })
    }

    fn process(&mut self, work: Vec<Work>) {
        let mut group = Group::new(&self.tables);
        for work in work {
            self.stage(&mut group, work);
        }
        match self.write(group.batch) {
            Ok(()) => {
                for staged in group.staged {
                    staged.partition.publish(staged.records, staged.end);
                }
                for answer in group.answers {
                    answer.confirm(&self.claims);
                }
            }
            Err(reason) => {
                for answer in group.answers {
                    answer.fail(&reason);
                }
            }
        }
    }

    /// Adds `work` to the group, or answers it at once when nothing is to be written for it.
    fn stage(&mut self, group: &mut Group, work: Work) {
        if let Some(reason) = self.shared.failed.get() {
            return refuse(work, reason);
        }
        match work {
            Work::Append {
                records,
                ticket,
                reply,
            } => {
                if ticket.take() {
                    let positions = group.append(&self.tables, records);
                    group.answers.push(Answer::Append(positions, reply));
                }
            }
            Work::Claim { key, reply } => match self.granted(&key) {
                Ok(granted) => {
                    granted.epoch += 1;
                    group.answers.push(Answer::Claim(key, granted.epoch, reply));
                }
                Err(error) => answer(reply, Err(error.to_string())),
            },
            Work::Commit {
                key,
                epoch,
                records,
                next,
                reply,
            } => match self.granted(&key) {
                Ok(granted) if granted.epoch == epoch => {
                    // Should the batch fail, nothing reads this again: the engine is read-only.
                    granted.committed = Some(next);
                    let stored = [epoch.to_be_bytes(), next.to_be_bytes()].concat();
                    group.batch.insert(
                        &self.tables.meta,
                        keys::group(key.topic, key.partition, &key.group),
                        stored,
                    );
                    let positions = group.append(&self.tables, records);
                    group.answers.push(Answer::Commit(positions, reply));
                }
                Ok(_) => answer(reply, Err(CommitError::Fenced)),
                Err(error) => {
                    answer(
                        reply,
                        Err(CommitError::Aborted {
                            reason: error.to_string(),
                        }),
                    );
                }
            },
        }
    }

    fn granted(&mut self, key: &ClaimKey) -> fjall::Result<&mut Granted> {
        if !self.claims.contains_key(key) {
            let stored = self
                .tables
                .meta
                .get(keys::group(key.topic, key.partition, &key.group))?;
            let number = |at| stored.as_ref().and_then(|bytes| keys::u64_at(bytes.get(at..)?));
            let granted = Granted {
                epoch: number(0).unwrap_or(0),
                committed: number(8),
            };
            self.claims.insert(key.clone(), granted);
        }
        Ok(self.claims.entry(key.clone()).or_insert(Granted {
            epoch: 0,
            committed: None,
        }))
    }

    /// Writes and syncs the batch, and notes that it is durable.
    fn write(&mut self, mut batch: OwnedWriteBatch) -> Result<(), String> {
        if batch.is_empty() {
            return Ok(());
        }
        self.commit += 1;
        batch.insert(&self.tables.meta, keys::meta::COMMIT, self.commit.to_be_bytes());
        let written = self.commit_synced(batch).and_then(|()| {
            let noted = self.shared.durable.lock().note(self.commit);
            noted.map_err(fjall::Error::Io)
        });
        written.map_err(|error| {
            let reason = format!(
                "the embedded log is read-only since a write to its disk failed ({error}); check the \
                 disk and its free space, then restart"
            );
            tracing::error!(%error, commit = self.commit, "a write to the log failed; it is read-only now");
            self.shared.failed.get_or_init(|| reason).clone()
        })
    }

    fn commit_synced(&self, batch: OwnedWriteBatch) -> fjall::Result<()> {
        #[cfg(test)]
        if self.shared.fail_next.load(std::sync::atomic::Ordering::Acquire) {
            return Err(fjall::Error::Poisoned);
        }
        batch.durability(Some(PersistMode::SyncAll)).commit()
    }
}

struct AbandonOnDrop(Arc<Shared>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.queue.abandon();
    }
}

/// One batch in the making.
struct Group {
    batch: OwnedWriteBatch,
    /// By partition, in order of first use.
    staged: Vec<Staged>,
    answers: Vec<Answer>,
}

struct Staged {
    partition: Arc<PartitionState>,
    records: Vec<Record>,
    end: Offset,
}

impl Group {
    fn new(tables: &Tables) -> Self {
        Self {
            batch: tables.database.batch(),
            staged: Vec::new(),
            answers: Vec::new(),
        }
    }

    fn append(&mut self, tables: &Tables, records: Vec<Prepared>) -> Vec<Position> {
        records
            .into_iter()
            .map(|prepared| self.append_one(tables, prepared))
            .collect()
    }

    fn append_one(&mut self, tables: &Tables, prepared: Prepared) -> Position {
        let Prepared {
            partition,
            mut record,
            stored,
        } = prepared;
        let (topic, number) = (partition.topic, partition.number);
        let mut appending = partition.appending.lock();
        let offset = appending.next;
        appending.next += 1;
        appending.times.add(
            &mut self.batch,
            tables,
            (topic, number, offset),
            record.timestamp_ms,
        );
        drop(appending);
        self.batch
            .insert(&tables.log, keys::record(topic, number, offset), stored);
        record.offset = offset;
        let index = self
            .staged
            .iter()
            .position(|staged| Arc::ptr_eq(&staged.partition, &partition));
        match index.and_then(|index| self.staged.get_mut(index)) {
            Some(staged) => {
                staged.records.push(record);
                staged.end = offset + 1;
            }
            None => self.staged.push(Staged {
                partition,
                records: vec![record],
                end: offset + 1,
            }),
        }
        Position {
            partition: number,
            offset,
        }
    }
}
