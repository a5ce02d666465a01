//! One device's connection, from the upgrade to its end: one task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use schemas::event::CommandStatus;
use serde_json::value::RawValue;
use state::DeviceKey;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendError;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::frames::Step;
use super::uplink::{Known, Up, Uplink};
use super::{Device, Shared, commands, right};
use crate::dialect::tongue::{Reply, Said};
use crate::engine::Seat;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Pings that may stay unanswered.
const PINGS_UNANSWERED_MAX: u32 = 2;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The device closed, or is gone.
    Device,
    /// We close, with this code.
    Close(u16, &'static str),
}

const REPLACED: End = End::Close(4001, "Replaced by a new device connection");
const RESTART: End = End::Close(1012, "this gateway restarts; connect again");

/// A device's connection.
pub(super) struct Session {
    shared: Arc<Shared>,
    device: Device,
    known: Known,
    /// Pings since the device last said anything.
    pings: AtomicU32,
}

impl Session {
    /// Serves the connection until it ends.
    pub(super) async fn run(shared: Arc<Shared>, device: Device, seat: Seat, upgraded: Upgraded) {
        let settings = &shared.settings;
        let bytes_max = if device.tongue.has_batches() {
            settings.message_bytes_max
        } else {
            shared.engine.settings().client_message_bytes_max
        };
        let config = WebSocketConfig::default()
            .max_message_size(Some(bytes_max))
            .max_frame_size(Some(bytes_max));
        let socket =
            WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
        let session = Self {
            known: Known::new(settings.commands_known_max),
            pings: AtomicU32::new(0),
            shared,
            device,
        };
        let (mut sink, stream) = socket.split();
        // What was revoked while this connection was made says nothing and replaces nobody.
        if let Some(end) = right::lost(&session.shared, &session.device) {
            return session.close(&mut sink, end).await;
        }
        let place = session.shared.peers.enter(DeviceKey {
            tenant: session.device.tenant.clone(),
            device: session.device.id.clone(),
        });
        let name = format!("{:032x}", rand::random::<u128>());
        let end = session
            .serve(&name, seat, &mut sink, stream, place.replaced.cancelled())
            .await;
        session.close(&mut sink, end).await;
        // The newer connection speaks for the device now.
        if end != REPLACED {
            session.uplink().presence(false, &name).await;
        }
        drop(place);
    }

    fn uplink(&self) -> Uplink<'_> {
        Uplink {
            shared: &self.shared,
            device: &self.device,
            known: &self.known,
        }
    }

    async fn serve(
        &self,
        name: &str,
        seat: Seat,
        sink: &mut SplitSink<Socket, Message>,
        stream: SplitStream<Socket>,
        replaced: impl Future<Output = ()>,
    ) -> End {
        let settings = &self.shared.settings;
        let (up, messages) = mpsc::channel(settings.messages_pending_max.max(1));
        let (down, frames) = mpsc::channel(settings.frames_pending_max.max(1));
        let (steps, queued) = mpsc::channel(settings.frames_pending_max.max(1));
        let uplink = self.uplink();
        let answers = down.clone();
        let appended = async move {
            uplink.presence(true, name).await;
            uplink.run(messages, answers).await;
        };
        let mut appended = std::pin::pin!(appended);
        let mut written = std::pin::pin!(self.write(sink, frames));
        let (mut is_appended, mut is_written) = (false, false);
        let end = {
            let read = self.read(stream, up.clone(), down.clone());
            let delivered = self.deliver(queued, up, down);
            let followed = commands::follow(&self.shared, &self.device, seat, &steps);
            tokio::select! {
                end = read => end,
                end = right::until_lost(&self.shared, &self.device) => end,
                code = followed => End::Close(code, "commands ended; connect again"),
                () = replaced => REPLACED,
                () = self.shared.closing.cancelled() => RESTART,
                () = delivered => End::Device,
                () = &mut written => {
                    is_written = true;
                    End::Device
                }
                () = &mut appended => {
                    is_appended = true;
                    End::Device
                }
            }
        };
        // Nothing more comes in: what came is appended, and answered as long as the device reads.
        let rest = async {
            match (is_appended, is_written) {
                (false, false) => drop(tokio::join!(appended, written)),
                (false, true) => appended.await,
                (true, _) => {}
            }
        };
        if tokio::time::timeout(settings.stalled_max, rest).await.is_err() {
            tracing::warn!(device = %self.device.id, "what a device sent last was not appended in time");
        }
        end
    }

    /// Takes what the device sends.
    async fn read(
        &self,
        mut stream: SplitStream<Socket>,
        up: mpsc::Sender<Up>,
        down: mpsc::Sender<Message>,
    ) -> End {
        while let Some(received) = stream.next().await {
            self.pings.store(0, Ordering::Relaxed);
            let refused = match received {
                Ok(Message::Text(text)) => {
                    let events_max = self.shared.settings.message_events_max;
                    match self.device.tongue.read(&text, events_max) {
                        Said::Events(items, reply) => {
                            for message in self.meant(items, reply).await {
                                if up.send(message).await.is_err() {
                                    return End::Device;
                                }
                            }
                            continue;
                        }
                        Said::Mistake(mistake) => mistake,
                    }
                }
                Ok(Message::Binary(_)) => "a message is text: an event as JSON".to_owned(),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Ok(Message::Close(_)) => return End::Device,
                Err(Error::Capacity(_)) => return End::Close(1009, "the message is too long"),
                Err(Error::Utf8(_)) => return End::Close(1007, "the message is not UTF-8"),
                Err(Error::Protocol(_)) => return End::Close(1002, "the WebSocket protocol was broken"),
                Err(_) => return End::Device,
            };
            if self.tell(&down, &refused).await.is_err() {
                return End::Device;
            }
        }
        End::Device
    }

    /// Tells the device of its mistake, where it is told.
    async fn tell(&self, down: &mpsc::Sender<Message>, mistake: &str) -> Result<(), SendError<Message>> {
        match self.device.tongue.error(mistake) {
            Some(text) => down.send(Message::text(text)).await,
            None => Ok(()),
        }
    }

    /// What goes up: the answer to a command, if there is one of that id, and events.
    async fn meant(&self, items: Vec<Box<RawValue>>, reply: Option<Reply>) -> Vec<Up> {
        let mut messages = Vec::new();
        if let Some(reply) = reply {
            let uplink = self.uplink();
            let is_known = self.known.get(&reply.command_id).is_some()
                || (reply.is_only_that && uplink.open_command(&reply.command_id).await.is_some());
            if is_known {
                messages.push(Up::Own(reply.event));
            }
        }
        if !items.is_empty() {
            messages.push(Up::Events(items));
        }
        messages
    }

    /// Hands commands to the device and says so in the log.
    async fn deliver(
        &self,
        mut queued: mpsc::Receiver<Step>,
        up: mpsc::Sender<Up>,
        down: mpsc::Sender<Message>,
    ) {
        while let Some(step) = queued.recv().await {
            if step.has_expired((self.shared.clock)()) || !self.known.insert(&step) {
                continue;
            }
            let input = step.input.as_deref();
            let input = input.map(|input| commands::opened(&self.shared, &self.device, input));
            if down
                .send(Message::text(self.device.tongue.command(&step, input.as_deref())))
                .await
                .is_err()
            {
                return;
            }
            if let Some(event) = step.event(CommandStatus::Delivered)
                && up.send(Up::Own(event)).await.is_err()
            {
                return;
            }
        }
        // Commands may end before the connection does; `follow` says why.
        std::future::pending::<()>().await;
    }

    /// Writes frames, and pings while there are none.
    async fn write(&self, sink: &mut SplitSink<Socket, Message>, mut frames: mpsc::Receiver<Message>) {
        loop {
            let ping = tokio::time::sleep(self.until_ping());
            let frame = tokio::select! {
                frame = frames.recv() => match frame {
                    Some(frame) => frame,
                    None => return,
                },
                () = ping => {
                    if self.pings.fetch_add(1, Ordering::Relaxed) >= PINGS_UNANSWERED_MAX {
                        return;
                    }
                    Message::Ping(bytes::Bytes::new())
                }
            };
            match tokio::time::timeout(self.shared.settings.stalled_max, sink.send(frame)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }

    fn until_ping(&self) -> Duration {
        let settings = &self.shared.settings;
        settings.ping + rand::random_range(Duration::ZERO..=settings.ping_jitter)
    }

    async fn close(&self, sink: &mut SplitSink<Socket, Message>, end: End) {
        let frame = match end {
            End::Device => None,
            End::Close(code, reason) => Some(CloseFrame {
                code: CloseCode::from(code),
                reason: reason.into(),
            }),
        };
        let close = async {
            sink.send(Message::Close(frame)).await?;
            sink.close().await
        };
        // A device that is gone takes no leave.
        if let Ok(Err(error)) = tokio::time::timeout(self.shared.settings.retry, close).await {
            tracing::trace!(%error, "a device left first");
        }
    }
}
