//! Why a run failed. A figure that is low is never an error; a frame that is wrong always is.

use std::io;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The system said no.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A server did not start, or ended.
    #[error("{name}: {reason}")]
    Server {
        /// Which.
        name: String,
        /// What it said last.
        reason: String,
    },
    /// An HTTP request was not answered as it should be.
    #[error("{request}: {answer}")]
    Refused {
        /// Its first line.
        request: String,
        /// Status and body.
        answer: String,
    },
    /// A connection got something that it should not.
    #[error("connection {connection} got a wrong frame: {reason}: {frame}")]
    WrongFrame {
        /// Its number.
        connection: usize,
        /// What is wrong.
        reason: String,
        /// The frame, shortened.
        frame: String,
    },
    /// A connection got another number of messages than were sent to it.
    #[error("connection {connection} got {got} messages instead of {expected}")]
    Count {
        /// Its number.
        connection: usize,
        /// Those it got.
        got: u64,
        /// Those it should have got.
        expected: u64,
    },
    /// Something did not come in time.
    #[error("not in time: {what}")]
    Late {
        /// What.
        what: String,
    },
    /// Something that another program printed is not understood.
    #[error("{what} cannot be read: {text}")]
    Unreadable {
        /// Whose.
        what: String,
        /// What it was.
        text: String,
    },
}

/// Adds what was tried.
pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source }
}
