//! Fault points of a projector, armed from outside: a file with the point's name in a directory is taken by
//! whichever process passes the point first, and that process ends at once, as by `kill -9`.

use std::path::{Path, PathBuf};

use projector::{FaultHook, Point};

/// The variable that names the directory.
pub const DIRECTORY: &str = "WAKELINE_TEST_FAULTS";

/// Dies at the points that are armed in `directory`.
#[must_use]
pub fn hook(directory: PathBuf) -> FaultHook {
    FaultHook::new(move |point| {
        // Whoever removes the file has it for itself.
        if std::fs::remove_file(path(&directory, point)).is_ok() {
            std::process::abort();
        }
    })
}

/// Arms `point`.
pub fn arm(directory: &Path, point: Point) {
    std::fs::write(path(directory, point), "").expect("a file");
}

/// Whether nobody has passed the armed `point` yet.
#[must_use]
pub fn is_armed(directory: &Path, point: Point) -> bool {
    path(directory, point).exists()
}

/// Takes `point` back; false when somebody was faster.
pub fn disarm(directory: &Path, point: Point) -> bool {
    std::fs::remove_file(path(directory, point)).is_ok()
}

fn path(directory: &Path, point: Point) -> PathBuf {
    directory.join(format!("{point:?}"))
}
