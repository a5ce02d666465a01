//! A connection that breaks when its client takes nothing for too long: an answer that is not read holds
//! neither its memory nor its place for ever. Streams have a patience of their own.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

/// A connection under watch.
pub(super) struct Watched<Io> {
    io: Io,
    within: Duration,
    leave: Leave,
    /// Since when nothing is taken: until when that may last.
    stuck: Option<Pin<Box<Sleep>>>,
}

/// What streams have of their connection: as long as one runs, the engine looks after its client.
#[derive(Clone, Default)]
pub(super) struct Leave {
    /// The ends of those that run.
    streams: Arc<Mutex<Vec<CancellationToken>>>,
}

impl Leave {
    /// A stream has it until it has `ended`.
    pub(super) fn take(&self, ended: CancellationToken) {
        let mut streams = self.streams.lock();
        streams.retain(|stream| !stream.is_cancelled());
        streams.push(ended);
    }

    /// Whoever has the connection now looks after it to its end.
    pub(super) fn take_for_good(&self) {
        self.take(CancellationToken::new());
    }

    fn is_taken(&self) -> bool {
        self.streams.lock().iter().any(|stream| !stream.is_cancelled())
    }
}

impl<Io> Watched<Io> {
    pub(super) const fn new(io: Io, within: Duration, leave: Leave) -> Self {
        Self {
            io,
            within,
            leave,
            stuck: None,
        }
    }

    /// Breaks the connection where a write has been pending for too long.
    fn watch<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stuck = None;
            return polled;
        }
        let within = self.within;
        let stuck = self
            .stuck
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(within)));
        while stuck.as_mut().poll(context).is_ready() {
            if !self.leave.is_taken() {
                let message = "the client does not take its answer";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)));
            }
            stuck.as_mut().reset(Instant::now() + within);
        }
        Poll::Pending
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Watched<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Watched<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(context, bytes);
        self.watch(context, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(context);
        self.watch(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_shutdown(context);
        self.watch(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.watch(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const WITHIN: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up_and_one_that_takes_little_is_not() {
        let (io, mut client) = tokio::io::duplex(10);
        let mut watched = Watched::new(io, WITHIN, Leave::default());
        let slow = async {
            let mut bytes = [0; 10];
            for _ in 0..10 {
                tokio::time::sleep(WITHIN - Duration::from_secs(1)).await;
                client.read_exact(&mut bytes).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(watched.write_all(&[0; 105]), slow);
        written.unwrap();
        let error = watched.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn streams_have_a_patience_of_their_own_and_it_ends_with_them() {
        let (io, _client) = tokio::io::duplex(10);
        let leave = Leave::default();
        let stream = CancellationToken::new();
        leave.take(stream.clone());
        let mut watched = Watched::new(io, WITHIN, leave);
        let long = tokio::time::timeout(WITHIN * 20, watched.write_all(&[0; 100]));
        assert!(long.await.is_err());
        stream.cancel();
        let error = watched.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
