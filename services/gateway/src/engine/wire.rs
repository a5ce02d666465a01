//! The two kinds of wire: a socket of the worker, and a channel to hyper.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use bytes::{Buf, Bytes};
use smallvec::SmallVec;

use super::channel::ChannelSink;
use super::worker::Wire;

pub(crate) enum SinkWire {
    Socket(mio::net::TcpStream),
    Channel {
        /// `None` once nothing more is written.
        sink: Option<ChannelSink>,
        /// Of what the client sent, what did not fit the buffer.
        rest: Bytes,
    },
}

/// Frames in one vectored write: each wakes the client.
const SLICES_MAX: usize = 256;
/// So many of them take no memory of their own.
const SLICES_INLINE: usize = 64;

/// Frames are handed to hyper in writes of about this many bytes: each costs a wake-up.
const GATHERED_BYTES: usize = 32 << 10;

impl SinkWire {
    pub(crate) fn channel(sink: ChannelSink) -> Self {
        Self::Channel {
            sink: Some(sink),
            rest: Bytes::new(),
        }
    }
}

impl Wire for SinkWire {
    fn write(&mut self, frames: &[Bytes]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => {
                let slices: SmallVec<[IoSlice<'_>; SLICES_INLINE]> = frames
                    .iter()
                    .take(SLICES_MAX)
                    .map(|frame| IoSlice::new(frame))
                    .collect();
                socket.write_vectored(&slices)
            }
            Self::Channel { sink, .. } => {
                let sink = sink.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
                let mut written = 0;
                let mut rest = frames;
                'room: while let Some((write, left)) = gather(rest) {
                    for piece in pieces(&write) {
                        match sink.send(&piece) {
                            Ok(true) => written += piece.len(),
                            Ok(false) => break 'room,
                            Err(_) => return Err(io::ErrorKind::BrokenPipe.into()),
                        }
                    }
                    rest = left;
                }
                if written == 0 {
                    Err(io::ErrorKind::WouldBlock.into())
                } else {
                    Ok(written)
                }
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => socket.read(buffer),
            Self::Channel { sink, rest } => {
                if rest.is_empty() {
                    match sink.as_mut().map(ChannelSink::receive) {
                        Some(Ok(Some(bytes))) => *rest = bytes,
                        Some(Ok(None)) => return Err(io::ErrorKind::WouldBlock.into()),
                        Some(Err(_)) | None => return Ok(0),
                    }
                }
                let length = rest.len().min(buffer.len());
                rest.copy_to_slice(&mut buffer[..length]);
                if length == 0 {
                    Err(io::ErrorKind::WouldBlock.into())
                } else {
                    Ok(length)
                }
            }
        }
    }

    fn shut(&mut self) {
        match self {
            Self::Socket(socket) => {
                if let Err(error) = socket.shutdown(Shutdown::Write) {
                    tracing::trace!(%error, "a socket was closed by its client first");
                }
            }
            Self::Channel { sink, .. } => *sink = None,
        }
    }
}

/// What is much in writes of the usual size: the channel's room is counted by them.
fn pieces(write: &Bytes) -> impl Iterator<Item = Bytes> {
    let starts = (0..write.len()).step_by(GATHERED_BYTES);
    starts.map(|from| write.slice(from..write.len().min(from + GATHERED_BYTES)))
}

/// The first frames as one write, and what is left of them.
fn gather(frames: &[Bytes]) -> Option<(Bytes, &[Bytes])> {
    let (first, rest) = frames.split_first()?;
    let mut bytes = first.len();
    let more = rest.iter().take_while(|frame| {
        bytes += frame.len();
        bytes <= GATHERED_BYTES
    });
    match more.count() {
        0 => Some((first.clone(), rest)),
        more => Some((frames[..=more].concat().into(), &rest[more..])),
    }
}
