//! Checks fjall's write-ahead files before fjall recovers from them.
//!
//! fjall cuts a file off at the first thing it cannot read, or refuses to open it, depending on what
//! it finds. Neither fits: a batch that a power loss tore (pages reach the disk in any order) must not
//! keep the log from opening, and a file that is unreadable in its middle must not lose what follows.
//! So the end of the newest file is cut off here, when it is not zeros, and kept in a file of its own;
//! whether that held anything acknowledged is then seen from the number of the last commit. An older
//! file was synced whole before the next one was begun: damage in it is damage.
//!
//! The form (fjall 3, no compression), numbers little endian: a batch is `1`, u32 count, u64 seqno;
//! its items, each `2`, u8 kind, u8 compression, u64 table, u16 key length, u32 length, u32 length
//! stored, key, value, or `4`, u64 table; and `3`, u64 XXH3 of the items, "FJL" and 3.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

const BATCH: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const TRAILER: [u8; 4] = [b'F', b'J', b'L', 3];
/// What was cut off last is kept in this file.
const CUT_FILE: &str = "torn-tail";

/// Why the files are not as recovery needs them.
#[derive(Debug)]
pub(super) enum MendError {
    Io(io::Error),
    /// A file has something unreadable that is not its torn end.
    Damaged {
        file: String,
        at: u64,
    },
}

impl From<io::Error> for MendError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Checks the write-ahead files in `dir`, and cuts off what tore at the end of the newest. Where that
/// is kept, if there was any.
pub(super) fn mend(dir: &Path) -> Result<Option<PathBuf>, MendError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_suffix(".jnl")?.parse::<u64>().ok());
        files.extend(number.map(|number| (number, dir.join(name))));
    }
    files.sort_unstable();
    let Some((_, newest)) = files.pop() else {
        return Ok(None);
    };
    for (_, path) in files {
        let readable = readable_bytes(&path)?;
        if !zeros_from(&path, readable)? {
            let file = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            return Err(MendError::Damaged { file, at: readable });
        }
    }
    let readable = readable_bytes(&newest)?;
    if zeros_from(&newest, readable)? {
        return Ok(None);
    }
    let cut = dir.join(CUT_FILE);
    let mut file = OpenOptions::new().read(true).write(true).open(&newest)?;
    file.seek(SeekFrom::Start(readable))?;
    let mut kept = File::create(&cut)?;
    let bytes = io::copy(&mut file, &mut kept)?;
    kept.sync_all()?;
    file.set_len(readable)?;
    file.sync_all()?;
    tracing::warn!(
        file = %newest.display(), at = readable, bytes, kept = %cut.display(),
        "the write-ahead file ended in a torn batch, which was cut off"
    );
    Ok(Some(cut))
}

/// How many bytes of the file are whole batches.
fn readable_bytes(path: &Path) -> io::Result<u64> {
    let mut scan = Scan {
        file: BufReader::with_capacity(1 << 16, File::open(path)?),
        read: 0,
    };
    let mut whole = 0;
    while let Some(()) = scan.batch()? {
        whole = scan.read;
    }
    Ok(whole)
}

/// Whether there are only zeros from `from` on: room that was not used yet.
fn zeros_from(path: &Path, from: u64) -> io::Result<bool> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(true),
            read if buffer.iter().take(read).any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

/// Reads batches one after the other.
struct Scan {
    file: BufReader<File>,
    read: u64,
}

impl Scan {
    /// Reads one batch; `None` if there is no whole one.
    fn batch(&mut self) -> io::Result<Option<()>> {
        let Some([BATCH, c0, c1, c2, c3, ..]) = self.take::<13>()? else {
            return Ok(None);
        };
        let mut checksum = Xxh3::new();
        for _item in 0..u32::from_le_bytes([c0, c1, c2, c3]) {
            if self.item(&mut checksum)?.is_none() {
                return Ok(None);
            }
        }
        let Some([END, rest @ ..]) = self.take::<13>()? else {
            return Ok(None);
        };
        let whole = rest[..8] == checksum.digest().to_le_bytes() && rest[8..] == TRAILER;
        Ok(whole.then_some(()))
    }

    fn item(&mut self, checksum: &mut Xxh3) -> io::Result<Option<()>> {
        let Some([tag]) = self.take::<1>()? else {
            return Ok(None);
        };
        checksum.update(&[tag]);
        let body = match tag {
            CLEAR => 8,
            ITEM => {
                let Some(head) = self.take::<20>()? else {
                    return Ok(None);
                };
                checksum.update(&head);
                let key = u64::from(u16::from_le_bytes([head[10], head[11]]));
                let value = u32::from_le_bytes([head[16], head[17], head[18], head[19]]);
                key + u64::from(value)
            }
            _ => return Ok(None),
        };
        self.hash(body, checksum)
    }

    /// Reads exactly `N` bytes; `None` at the end of the file.
    fn take<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        match self.file.read_exact(&mut bytes) {
            Ok(()) => {
                self.read += N as u64;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads exactly `left` bytes into the checksum, without ever holding all of them: a length may
    /// be garbage.
    fn hash(&mut self, mut left: u64, checksum: &mut Xxh3) -> io::Result<Option<()>> {
        let mut buffer = [0; 8 * 1024];
        while left > 0 {
            let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = self.file.read(&mut buffer[..want])?;
            if read == 0 {
                return Ok(None);
            }
            checksum.update(&buffer[..read]);
            self.read += read as u64;
            left -= read as u64;
        }
        Ok(Some(()))
    }
}

#[cfg(test)]
mod tests {
    use fjall::{Database, KeyspaceCreateOptions, PersistMode};

    use super::*;

    /// A database with some batches, and the length of its write-ahead file up to each.
    fn written() -> (tempfile::TempDir, Vec<u64>) {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::builder(dir.path()).open().unwrap();
        let table = database.keyspace("t", KeyspaceCreateOptions::default).unwrap();
        let mut lengths = Vec::new();
        for number in 0_u32..20 {
            let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
            batch.insert(&table, number.to_be_bytes(), vec![7; 100 * number as usize]);
            batch.remove(&table, b"gone");
            batch.commit().unwrap();
            lengths.push(readable_bytes(&dir.path().join("0.jnl")).unwrap());
        }
        (dir, lengths)
    }

    #[test]
    fn every_batch_that_fjall_writes_is_read() {
        let (dir, lengths) = written();
        assert!(lengths.is_sorted_by(|a, b| a < b), "{lengths:?}");
        assert_eq!(mend(dir.path()).unwrap(), None);
    }

    #[test]
    fn a_torn_end_is_cut_off_and_kept() {
        let (dir, lengths) = written();
        let path = dir.path().join("0.jnl");
        let mut bytes = std::fs::read(&path).unwrap();
        let [.., before, end] = lengths[..] else {
            panic!("some batches")
        };
        // A page in the middle of the last batch did not reach the disk.
        bytes[before as usize + 60..before as usize + 600].fill(0);
        std::fs::write(&path, &bytes).unwrap();
        let cut = mend(dir.path()).unwrap().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), before);
        assert_eq!(
            std::fs::read(cut).unwrap()[..(end - before) as usize],
            bytes[before as usize..end as usize]
        );
        assert_eq!(mend(dir.path()).unwrap(), None);
    }

    #[test]
    fn damage_before_the_newest_file_is_refused() {
        let (dir, lengths) = written();
        std::fs::copy(dir.path().join("0.jnl"), dir.path().join("1.jnl")).unwrap();
        let path = dir.path().join("0.jnl");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[lengths[3] as usize + 20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        match mend(dir.path()) {
            Err(MendError::Damaged { at, .. }) => assert_eq!(at, lengths[3]),
            other => panic!("{other:?}"),
        }
    }
}
