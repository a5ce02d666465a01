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
use tokio::sync::mpsc::error::SendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::commands::Told;
use super::frames::{self, Step};
use super::peers::Presence;
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

impl End {
    /// The end of a connection whose log ended with `code`: the device may have come to another gateway.
    const fn of_commands(code: u16) -> Self {
        if code == commands::REPLACED {
            REPLACED
        } else {
            Self::Close(code, "commands ended; connect again")
        }
    }
}

const REPLACED: End = End::Close(commands::REPLACED, "Replaced by a new device connection");
const RESTART: End = End::Close(1012, "this gateway restarts; connect again");

/// Nothing is written any more.
struct Gone;

/// What is written to the device.
pub(super) struct Frame {
    message: Message,
    /// Told once it is written.
    written: Option<oneshot::Sender<()>>,
}

impl Frame {
    pub(super) fn text(text: String) -> Self {
        Self {
            message: Message::text(text),
            written: None,
        }
    }
}

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
        let end = session.serve(&name, seat, &mut sink, stream, &place).await;
        place.falls_silent();
        session.close(&mut sink, end).await;
        // The newer connection speaks for the device now.
        if end != REPLACED {
            session.uplink().left(&name, &place.replaced).await;
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
        place: &Presence,
    ) -> End {
        let settings = &self.shared.settings;
        let (up, messages) = mpsc::channel(settings.messages_pending_max.max(1));
        let (down, frames) = mpsc::channel(settings.frames_pending_max.max(1));
        let (told, news) = mpsc::channel(settings.frames_pending_max.max(1));
        let uplink = self.uplink();
        let answers = down.clone();
        let appended = async move {
            // What the older still appends takes no longer than that.
            place.is_alone(settings.stalled_max + settings.retry).await;
            uplink.serve(name, &place.replaced, messages, answers).await;
            place.falls_silent();
        };
        let mut appended = std::pin::pin!(appended);
        let mut written = std::pin::pin!(self.write(sink, frames));
        let (mut is_appended, mut is_written) = (false, false);
        let end = {
            let read = self.read(stream, up.clone(), down.clone());
            let delivered = self.deliver(name, news, up, down);
            let followed = commands::follow(&self.shared, &self.device, seat, name, &told);
            tokio::select! {
                end = read => end,
                end = right::until_lost(&self.shared, &self.device) => end,
                code = followed => End::of_commands(code),
                () = place.replaced.cancelled() => REPLACED,
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
        down: mpsc::Sender<Frame>,
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
    async fn tell(&self, down: &mpsc::Sender<Frame>, mistake: &str) -> Result<(), SendError<Frame>> {
        match self.device.tongue.error(mistake) {
            Some(text) => down.send(Frame::text(text)).await,
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
        name: &str,
        mut news: mpsc::Receiver<Told>,
        up: mpsc::Sender<Up>,
        down: mpsc::Sender<Frame>,
    ) {
        while let Some(told) = news.recv().await {
            let event = match told {
                Told::Command(step) => match self.hand_over(&step, &down).await {
                    Ok(true) => step.event(CommandStatus::Delivered),
                    Ok(false) => None,
                    Err(_) => return,
                },
                Told::Known(step) => {
                    self.known.remember(&step);
                    None
                }
                Told::Offline => frames::presence(frames::Said::IsThere, name),
                Told::Replaced => None,
            };
            if let Some(event) = event
                && up.send(Up::Own(event)).await.is_err()
            {
                return;
            }
        }
        // Commands may end before the connection does; `follow` says why.
        std::future::pending::<()>().await;
    }

    /// Whether the command was written: until then, it waits for the device.
    async fn hand_over(&self, step: &Step, down: &mpsc::Sender<Frame>) -> Result<bool, Gone> {
        if step.has_expired((self.shared.clock)()) || !self.known.goes_down(step) {
            return Ok(false);
        }
        let input = step.input.as_deref();
        let input = input.map(|input| commands::opened(&self.shared, &self.device, input));
        let (written, is_written) = oneshot::channel();
        let frame = Frame {
            message: Message::text(self.device.tongue.command(step, input.as_deref())),
            written: Some(written),
        };
        down.send(frame).await.map_err(|_| Gone)?;
        is_written.await.map_err(|_| Gone)?;
        Ok(true)
    }

    /// Writes frames, and pings beside them.
    async fn write(&self, sink: &mut SplitSink<Socket, Message>, mut frames: mpsc::Receiver<Frame>) {
        let mut ping_at = Instant::now() + self.until_ping();
        loop {
            let (message, written) = tokio::select! {
                frame = frames.recv() => match frame {
                    Some(frame) => (frame.message, frame.written),
                    None => return,
                },
                () = tokio::time::sleep_until(ping_at) => {
                    ping_at = Instant::now() + self.until_ping();
                    if self.pings.fetch_add(1, Ordering::Relaxed) >= PINGS_UNANSWERED_MAX {
                        return;
                    }
                    (Message::Ping(bytes::Bytes::new()), None)
                }
            };
            match tokio::time::timeout(self.shared.settings.stalled_max, sink.send(message)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return,
            }
            if written.is_some_and(|written| written.send(()).is_err()) {
                tracing::trace!(device = %self.device.id, "nobody waits for what was written any more");
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
