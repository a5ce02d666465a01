//! A connection without TLS: its first request decides whether a worker gets the socket or hyper.

use std::net::SocketAddr;
use std::sync::Arc;

use access::http::Problem;
use bytes::BytesMut;
use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, StatusCode, Version};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::head::{self, Head, Read};
use super::tasks::Tasks;
use super::{Door, Place, proxies, response, via_hyper};
use crate::engine::{Adoption, Sink};
use crate::open::{Opened, Streams};
use crate::subscription::{Framing, Transport};

/// Serves one connection until it ends or a worker has it.
pub(super) async fn serve(
    door: Arc<Door>,
    mut socket: TcpStream,
    peer: SocketAddr,
    place: Place,
    tasks: Tasks,
    cancel: CancellationToken,
) {
    let mut buffer = BytesMut::new();
    match first_head(&door, &mut socket, &mut buffer, &cancel).await {
        Some(Ok(Read::Complete)) => {}
        Some(Ok(Read::TooLong)) => {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            let detail = format!(
                "a request's head has at most {} bytes",
                door.settings.head_bytes_max
            );
            let answer = Problem::new(status, detail).into_response();
            return response::send(&door, socket, answer).await;
        }
        Some(Ok(Read::Closed)) | Some(Err(_)) => return,
        None if buffer.is_empty() || cancel.is_cancelled() => return,
        None => {
            let answer = Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "the request's head did not arrive in time",
            )
            .into_response();
            return response::send(&door, socket, answer).await;
        }
    }
    if let Some(streams) = &door.streams {
        let wanted = |path: &str| streams.is_route(path);
        if let Head::Wanted { parts, length } = head::parse(&buffer, door.settings.headers_max, wanted) {
            let leftover = buffer.split_off(length).to_vec();
            drop(buffer);
            return stream(&door, streams, socket, *parts, leftover, peer, place).await;
        }
    }
    let (read, write) = socket.into_split();
    let again = tokio::io::AsyncReadExt::chain(std::io::Cursor::new(buffer.freeze()), read);
    via_hyper::serve(door, tokio::io::join(again, write), peer, tasks, cancel).await;
    drop(place);
}

/// Reads the first head; `None` when it does not come in time, or the front door closes.
async fn first_head(
    door: &Door,
    socket: &mut TcpStream,
    buffer: &mut BytesMut,
    cancel: &CancellationToken,
) -> Option<std::io::Result<Read>> {
    let read = head::read(socket, buffer, door.settings.head_bytes_max);
    let in_time = tokio::time::timeout(door.settings.head_timeout, read);
    cancel.run_until_cancelled(in_time).await?.ok()
}

/// Opens a stream and hands its socket to a worker.
async fn stream(
    door: &Door,
    streams: &Streams,
    socket: TcpStream,
    mut parts: Parts,
    leftover: Vec<u8>,
    peer: SocketAddr,
    place: Place,
) {
    let client = proxies::client(peer, &parts.headers, &door.settings.trusted_proxies);
    let span = door.observer.begin(&mut parts, client);
    let origin = parts.headers.get(http::header::ORIGIN).cloned();
    let opened = streams.open(&parts, client.ip()).instrument(span.clone()).await;
    let opened = match opened {
        Ok(opened) => opened,
        Err(mut refusal) => {
            door.cors.apply(origin.as_ref(), refusal.headers_mut());
            door.observer.end(&span, refusal.status());
            door.metrics.answered(refusal.status());
            return response::send(door, socket, refusal).await;
        }
    };
    let version = parts.version;
    drop(parts);
    let Opened {
        seat,
        mut subscription,
        reading,
        mut head,
    } = opened;
    door.cors.apply(origin.as_ref(), head.headers_mut());
    door.observer.end(&span, head.status());
    door.metrics.answered(head.status());
    if subscription.transport == Transport::Sse {
        let headers = head.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        // HTTP/1.0 has no chunks: there the connection's end is all that ends a body.
        if version != Version::HTTP_10 {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            subscription.framing = Framing::Chunked;
        }
    }
    response::date(door, head.headers_mut());
    let prelude = response::head(&head);
    let socket = match socket.into_std() {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(%error, "a socket could not be handed to a worker");
            return;
        }
    };
    let adoption = Adoption {
        seat,
        sink: Sink::Socket(socket),
        prelude,
        leftover,
        subscription,
        reading,
    };
    if let Err(refused) = streams.engine().adopt(adoption) {
        // Closed without an answer: clients of both kinds connect again.
        tracing::debug!(%refused, "a stream was opened but not taken over");
    }
    drop(place);
}
