//! Files beside fjall's own: who holds the directory, which directory it is, and how much of it was
//! acknowledged.
//!
//! - `wakeline.lock` is locked while a process has the directory open, and holds that process's id.
//! - `identity` is written once. Its number among files and its times are noted inside the database;
//!   when they differ, the directory is a copy or was restored, and it gets a new instance number,
//!   from which the cluster id follows. What this cannot see: a whole file system that was set back
//!   (snapshots of volumes and of virtual machines), and copies made so that number and times of
//!   files stay the same. What it takes for a copy without need: file systems that renumber files
//!   at every mount ([`Settings::detect_copies`](crate::Settings::detect_copies) turns it off).
//! - `durable` holds the number of the last commit that was synced, written after each sync. The
//!   database recovers from a damaged write-ahead file by cutting it off, which is right for what
//!   was never synced; the number tells when it cut off more. Deleting the file accepts such a loss:
//!   the directory then opens as a new instance.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

const LOCK_FILE: &str = "wakeline.lock";
const IDENTITY_FILE: &str = "identity";
const IDENTITY_FILE_NEW: &str = "identity.new";
const DURABLE_FILE: &str = "durable";
/// A slot of `durable`: a commit number, its CRC-32, four bytes of nothing.
const SLOT_BYTES: usize = 16;

/// Sole use of a directory, until dropped.
pub(crate) struct Lock {
    _file: File,
}

/// Why a directory is not ours to use.
pub(crate) enum LockError {
    /// Another process has it; its id, if it could be read.
    Held(Option<u32>),
    /// The lock file cannot be written.
    Io(io::Error),
}

impl Lock {
    /// Locks `dir`, which exists.
    pub(crate) fn acquire(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let read = file.take(20).read_to_string(&mut holder);
                return Err(LockError::Held(
                    read.ok().and_then(|_| holder.trim().parse().ok()),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(LockError::Io)?;
        Ok(Self { _file: file })
    }
}

/// Whether `dir` was ever opened to the end: only then may data be in it.
pub(crate) fn was_used(dir: &Path) -> bool {
    [IDENTITY_FILE, DURABLE_FILE]
        .iter()
        .any(|name| dir.join(name).exists())
}

/// What is noted inside the database about its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Random; the cluster id follows from it.
    pub(crate) instance: u64,
    /// Number of `identity` in its file system; 0 where files have none.
    number: u64,
    /// When it was made, in nanoseconds; 0 where the file system does not say.
    born_ns: u64,
    /// When it was last written, in nanoseconds.
    modified_ns: u64,
}

impl Identity {
    /// Makes the directory a new instance: writes the file anew and says what to note.
    pub(crate) fn create(dir: &Path) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let instance = u64::from_be_bytes(random);
        let fresh = dir.join(IDENTITY_FILE_NEW);
        let path = dir.join(IDENTITY_FILE);
        let mut file = File::create(&fresh)?;
        writeln!(file, "{instance:016x}")?;
        file.sync_all()?;
        std::fs::rename(&fresh, &path)?;
        sync_directory(dir)?;
        Self::of_file(dir, instance)
    }

    /// Whether the directory is the one that this was noted in. With `strictly` off, a file that
    /// only moved is believed.
    pub(crate) fn holds(&self, dir: &Path, strictly: bool) -> io::Result<bool> {
        let text = match std::fs::read_to_string(dir.join(IDENTITY_FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let same_instance = u64::from_str_radix(text.trim(), 16) == Ok(self.instance);
        Ok(same_instance && (!strictly || Self::of_file(dir, self.instance)? == *self))
    }

    fn of_file(dir: &Path, instance: u64) -> io::Result<Self> {
        let metadata = std::fs::metadata(dir.join(IDENTITY_FILE))?;
        let nanos = |time: io::Result<std::time::SystemTime>| {
            let since = time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            since
                .and_then(|since| u64::try_from(since.as_nanos()).ok())
                .unwrap_or(0)
        };
        Ok(Self {
            instance,
            number: file_number(&metadata),
            born_ns: nanos(metadata.created()),
            modified_ns: nanos(metadata.modified()),
        })
    }

    /// The stored form.
    pub(crate) fn encode(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let numbers = [self.instance, self.number, self.born_ns, self.modified_ns];
        for (chunk, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            chunk.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// Reads [`encode`](Self::encode)'s bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| crate::keys::u64_at(bytes.get(at..)?);
        Some(Self {
            instance: number(0)?,
            number: number(8)?,
            born_ns: number(16)?,
            modified_ns: number(24)?,
        })
    }
}

#[cfg(unix)]
fn file_number(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn file_number(_metadata: &std::fs::Metadata) -> u64 {
    0
}

/// Makes the names in `dir` durable.
#[cfg(unix)]
fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_dir: &Path) -> io::Result<()> {
    Ok(())
}

/// The number of the last commit that was synced, in a file of its own.
pub(crate) struct Durable {
    file: File,
}

impl Durable {
    /// Opens the file in `dir`; the number it held, or `None` if there was none to be read.
    pub(crate) fn open(dir: &Path) -> io::Result<(Self, Option<u64>)> {
        let path = dir.join(DURABLE_FILE);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        let mut bytes = Vec::new();
        Read::by_ref(&mut file)
            .take(2 * SLOT_BYTES as u64)
            .read_to_end(&mut bytes)?;
        let number = bytes.chunks_exact(SLOT_BYTES).filter_map(read_slot).max();
        Ok((Self { file }, number))
    }

    /// Notes that `commit` was synced. Two slots take turns, so that a torn write leaves the other.
    /// It is in the file at once, and survives the process; [`sync`](Self::sync) makes it survive
    /// the machine.
    pub(crate) fn note(&mut self, commit: u64) -> io::Result<()> {
        let mut slot = [0; SLOT_BYTES];
        slot[..8].copy_from_slice(&commit.to_be_bytes());
        slot[8..12].copy_from_slice(&crc32fast::hash(&commit.to_be_bytes()).to_be_bytes());
        self.file
            .seek(SeekFrom::Start((commit % 2) * SLOT_BYTES as u64))?;
        self.file.write_all(&slot)
    }

    /// Makes what was noted durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

fn read_slot(slot: &[u8]) -> Option<u64> {
    let number = crate::keys::u64_at(slot)?;
    let checksum = crate::keys::u32_at(slot.get(8..)?)?;
    (crc32fast::hash(&number.to_be_bytes()) == checksum).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_identity() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::create(dir.path()).unwrap();
        assert_eq!(Identity::decode(&identity.encode()), Some(identity));
        assert!(identity.holds(dir.path(), true).unwrap());
    }

    #[test]
    fn a_copied_identity_does_not_hold() {
        let dir = tempfile::tempdir().unwrap();
        let copy = tempfile::tempdir().unwrap();
        let identity = Identity::create(dir.path()).unwrap();
        std::fs::copy(dir.path().join(IDENTITY_FILE), copy.path().join(IDENTITY_FILE)).unwrap();
        assert!(!identity.holds(copy.path(), true).unwrap());
        assert!(identity.holds(copy.path(), false).unwrap());
    }

    #[test]
    fn a_torn_note_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let (mut durable, none) = Durable::open(dir.path()).unwrap();
        assert_eq!(none, None);
        durable.note(7).unwrap();
        durable.note(8).unwrap();
        drop(durable);
        assert_eq!(Durable::open(dir.path()).unwrap().1, Some(8));
        let path = dir.path().join(DURABLE_FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[3] ^= 0xff;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(Durable::open(dir.path()).unwrap().1, Some(7));
    }

    #[test]
    fn a_second_lock_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let _lock = Lock::acquire(dir.path()).unwrap_or_else(|_| panic!("free"));
        match Lock::acquire(dir.path()) {
            Err(LockError::Held(holder)) => assert_eq!(holder, Some(std::process::id())),
            Ok(_) | Err(LockError::Io(_)) => panic!("locked twice"),
        }
    }
}
