//! Opening the directory: whose it is, what it is, and whether all that was acknowledged is there.

mod wal;

use std::io;
use std::path::{Path, PathBuf};

use fjall::PersistMode;

use super::OpenError;
use crate::database::Tables;
use crate::identity::{self, Durable, Identity, Lock, LockError};
use crate::{Settings, keys};

/// Version of the layout of the tables that this code writes.
const FORMAT: u32 = 1;
/// fjall's version of its own files, the fourth byte of its file `version`.
const FJALL_FORMAT: u8 = 3;

/// What was opened.
pub(super) struct Opened {
    pub(super) lock: Lock,
    pub(super) tables: Tables,
    pub(super) durable: Durable,
    /// Number of the last commit.
    pub(super) commit: u64,
    /// From which the cluster id follows.
    pub(super) instance: u64,
}

pub(super) fn open(dir: &Path, settings: &Settings) -> Result<Opened, OpenError> {
    let not_writable = |error: io::Error| OpenError::NotWritable {
        dir: dir.to_owned(),
        reason: error.to_string(),
    };
    std::fs::create_dir_all(dir).map_err(not_writable)?;
    let lock = Lock::acquire(dir).map_err(|error| match error {
        LockError::Held(holder) => OpenError::InUse {
            dir: dir.to_owned(),
            holder,
        },
        LockError::Io(error) => not_writable(error),
    })?;
    clear_unfinished(dir)?;
    let cut = mend(dir)?;
    let tables = open_tables(dir, settings)?;
    let engine = |error| explain(dir, error);
    match tables
        .meta
        .get(keys::meta::FORMAT)
        .map_err(engine)?
        .and_then(|bytes| keys::u32_at(&bytes))
    {
        None => tables
            .meta
            .insert(keys::meta::FORMAT, FORMAT.to_be_bytes())
            .map_err(engine)?,
        Some(FORMAT) => {}
        Some(_) => return Err(OpenError::Newer { dir: dir.to_owned() }),
    }
    let (durable, noted) = Durable::open(dir).map_err(not_writable)?;
    let commit = tables.number(keys::meta::COMMIT).map_err(engine)?.unwrap_or(0);
    if let Some(missing) = noted
        .and_then(|noted| noted.checked_sub(commit))
        .filter(|n| *n > 0)
    {
        return Err(OpenError::Damaged {
            dir: dir.to_owned(),
            reason: format!(
                "its last {missing} commits, which were acknowledged, are missing{}; restore a backup, or \
                 delete the file `durable` in it to go on without them (clients are then told that the \
                 log is another one)",
                cut.map_or_else(String::new, |cut| format!(
                    " (what is left of them is in {})",
                    cut.display()
                ))
            ),
        });
    }
    let instance = identify(dir, settings, &tables, noted.is_none() && commit > 0)?;
    let mut opened = Opened {
        lock,
        tables,
        durable,
        commit,
        instance,
    };
    opened.durable.note(commit).map_err(not_writable)?;
    opened.durable.sync().map_err(not_writable)?;
    Ok(opened)
}

/// Readies the write-ahead files for recovery: cuts off the end of the newest one where a power loss
/// tore it, and refuses damage elsewhere. Where what was cut off is kept, if anything was.
fn mend(dir: &Path) -> Result<Option<PathBuf>, OpenError> {
    let version = std::fs::read(dir.join("version")).unwrap_or_default();
    if version != [b'F', b'J', b'L', FJALL_FORMAT] {
        // Not a form that can be checked; opening says why.
        return Ok(None);
    }
    wal::mend(dir).map_err(|error| match error {
        wal::MendError::Io(error) => OpenError::Failed {
            dir: dir.to_owned(),
            reason: error.to_string(),
        },
        wal::MendError::Damaged { file, at } => OpenError::Damaged {
            dir: dir.to_owned(),
            reason: format!("its file {file} is not readable from byte {at} on; restore a backup"),
        },
    })
}

/// Opens the database. fjall asserts where it does not expect damage; that must not end the process.
fn open_tables(dir: &Path, settings: &Settings) -> Result<Tables, OpenError> {
    match std::panic::catch_unwind(|| Tables::open(dir, settings)) {
        Ok(opened) => opened.map_err(|error| explain(dir, error)),
        Err(_) => Err(OpenError::Damaged {
            dir: dir.to_owned(),
            reason: "its tables are not as they were written; restore a backup".to_owned(),
        }),
    }
}

/// The instance that the directory is; a new one if it is new, copied, restored or `doubtful`.
fn identify(dir: &Path, settings: &Settings, tables: &Tables, doubtful: bool) -> Result<u64, OpenError> {
    let failed = |error: io::Error| OpenError::Failed {
        dir: dir.to_owned(),
        reason: error.to_string(),
    };
    let stored = tables
        .meta
        .get(keys::meta::IDENTITY)
        .map_err(|error| explain(dir, error))?;
    let known = stored.and_then(|bytes| Identity::decode(&bytes));
    if let Some(identity) = known
        && !doubtful
        && identity.holds(dir, settings.detect_copies).map_err(failed)?
    {
        return Ok(identity.instance);
    }
    if known.is_some() {
        tracing::warn!(
            dir = %dir.display(),
            "the data directory looks copied or restored; it gets a new cluster id, and clients that come \
             back with a cursor of the original are told so"
        );
    }
    let identity = Identity::create(dir).map_err(failed)?;
    let mut batch = tables.database.batch().durability(Some(PersistMode::SyncAll));
    batch.insert(&tables.meta, keys::meta::IDENTITY, identity.encode());
    batch.commit().map_err(|error| explain(dir, error))?;
    Ok(identity.instance)
}

/// Removes what a process left that died while it created the database: fjall does not open it, and
/// nothing was ever in it.
fn clear_unfinished(dir: &Path) -> Result<(), OpenError> {
    let failed = |error: io::Error| OpenError::Failed {
        dir: dir.to_owned(),
        reason: error.to_string(),
    };
    let version = dir.join("version");
    let created = std::fs::metadata(&version).is_ok_and(|metadata| metadata.len() > 0);
    if created {
        return Ok(());
    }
    if identity::was_used(dir) {
        let reason = "its file `version` is missing or empty; restore a backup".to_owned();
        return Err(OpenError::Damaged {
            dir: dir.to_owned(),
            reason,
        });
    }
    let tables = dir.join("keyspaces");
    let empty = std::fs::read_dir(&tables).map_or(Ok(true), |mut entries| match entries.next() {
        None => Ok(true),
        Some(entry) => entry.map(|_| false),
    });
    if !empty.map_err(failed)? {
        let reason = "it has tables and no file `version`; restore a backup".to_owned();
        return Err(OpenError::Damaged {
            dir: dir.to_owned(),
            reason,
        });
    }
    for leftover in [version, dir.join("0.jnl")] {
        match std::fs::remove_file(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Says what an error of fjall means for whoever opens the directory.
fn explain(dir: &Path, error: fjall::Error) -> OpenError {
    let dir = dir.to_owned();
    match error {
        fjall::Error::Locked => OpenError::InUse { dir, holder: None },
        fjall::Error::InvalidVersion(_) => {
            let newer = std::fs::read(dir.join("version"))
                .is_ok_and(|bytes| bytes.starts_with(b"FJL") && bytes.get(3) > Some(&FJALL_FORMAT));
            if newer {
                OpenError::Newer { dir }
            } else {
                let reason = "its file `version` is not one of this database; restore a backup".to_owned();
                OpenError::Damaged { dir, reason }
            }
        }
        fjall::Error::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            OpenError::NotWritable {
                dir,
                reason: error.to_string(),
            }
        }
        fjall::Error::Io(error) if error.kind() != io::ErrorKind::InvalidData => OpenError::Failed {
            dir,
            reason: error.to_string(),
        },
        fjall::Error::Poisoned | fjall::Error::KeyspaceDeleted => OpenError::Failed {
            dir,
            reason: error.to_string(),
        },
        error @ (fjall::Error::Storage(_)
        | fjall::Error::Io(_)
        | fjall::Error::JournalRecovery(_)
        | fjall::Error::Decompress(_)
        | fjall::Error::InvalidTrailer
        | fjall::Error::InvalidTag(_)
        | fjall::Error::Unrecoverable
        | _) => OpenError::Damaged {
            dir,
            reason: format!("{error}; restore a backup"),
        },
    }
}
