//! Files of a directory as a crash leaves them.

use std::path::{Path, PathBuf};

/// The newest write-ahead file.
pub(super) fn wal_of(dir: &Path) -> Result<Option<PathBuf>, String> {
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in dir.read_dir().map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let is_wal = path.extension().is_some_and(|extension| extension == "jnl");
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let (true, Some(number)) = (is_wal, number)
            && newest.as_ref().is_none_or(|(known, _)| *known < number)
        {
            newest = Some((number, path));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// Bytes of a file up to the last that is not zero.
pub(super) fn used_bytes(path: &Path) -> Result<usize, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    Ok(bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1))
}

/// Of what was written after `synced`, only so many thousandths reached the disk.
pub(super) fn tear(wal: &Path, synced: usize, thousandths: usize) -> Result<(), String> {
    let used = used_bytes(wal)?;
    let kept = synced + used.saturating_sub(synced) * thousandths / 1_000;
    let mut bytes = std::fs::read(wal).map_err(|error| error.to_string())?;
    if let Some(lost) = bytes.get_mut(kept.max(synced)..) {
        lost.fill(0);
    }
    std::fs::write(wal, bytes).map_err(|error| error.to_string())
}

pub(super) fn copy_files(from: &Path, to: &Path, wanted: fn(&str) -> bool) -> Result<(), String> {
    for entry in from.read_dir().map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        let (name, target) = (entry.file_name(), to.join(entry.file_name()));
        if entry.path().is_dir() {
            if wanted("") {
                std::fs::create_dir_all(&target).map_err(|error| error.to_string())?;
                copy_files(&entry.path(), &target, |_| true)?;
            }
        } else if wanted(&name.to_string_lossy()) {
            std::fs::copy(entry.path(), target).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}
