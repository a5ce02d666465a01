//! Everything that is no stream on a plain socket: hyper speaks HTTP/1.1 and HTTP/2, over TLS or not,
//! and streams run behind it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access::http::{Body, Handled, Problem};
use bytes::BytesMut;
use futures::StreamExt as _;
use http::header::ORIGIN;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::tasks::Tasks;
use super::watched::{Leave, Watched};
use super::{Door, proxies};
use crate::engine::{Adoption, ChannelBody, ChannelInput, Sink};
use crate::open::Streams;
use crate::subscription::Transport;

/// Read from an upgraded connection at a time.
const READ_BYTES: usize = 4 << 10;
/// How long a client may still take what an ended stream has sent.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// Serves one connection until it ends. After `cancel` it ends with the request that is under way.
pub(super) async fn serve<Io>(
    door: Arc<Door>,
    io: Io,
    peer: SocketAddr,
    tasks: Tasks,
    cancel: CancellationToken,
) where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let builder = builder(&door, &tasks);
    let leave = Leave::default();
    let io = Watched::new(io, door.settings.write_timeout, leave.clone());
    let service = service_fn(move |request| {
        let (door, tasks, leave) = (Arc::clone(&door), tasks.clone(), leave.clone());
        async move { Ok::<_, Infallible>(answer(&door, request, peer, &tasks, &leave).await) }
    });
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(io), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = cancel.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

fn builder(door: &Door, tasks: &Tasks) -> auto::Builder<Tasks> {
    let settings = &door.settings;
    let mut builder = auto::Builder::new(tasks.clone());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.head_timeout)
        .max_headers(settings.headers_max)
        // hyper's own least.
        .max_buf_size(settings.head_bytes_max.max(8 << 10));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.http2_streams_max)
        .max_header_list_size(u32::try_from(settings.head_bytes_max).unwrap_or(u32::MAX))
        .keep_alive_interval(settings.http2_ping)
        .keep_alive_timeout(settings.http2_ping);
    builder
}

async fn answer(
    door: &Door,
    request: Request<Incoming>,
    peer: SocketAddr,
    tasks: &Tasks,
    leave: &Leave,
) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    if let Some(response) = door.cors.preflight(&parts.method, &parts.headers) {
        return response;
    }
    let trusted = &door.settings.trusted_proxies;
    let client = proxies::client(peer, &parts.headers, trusted);
    proxies::forget_strangers(peer, &mut parts.headers, trusted);
    let origin = parts.headers.get(ORIGIN).cloned();
    let span = door.observer.begin(&mut parts, client);
    let request = Request::from_parts(parts, body);
    let routed = route(door, request, client, tasks, leave).instrument(span.clone());
    let mut response = routed.await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        leave.take_for_good();
    }
    door.cors.apply(origin.as_ref(), response.headers_mut());
    door.observer.end(&span, response.status());
    door.metrics.answered(response.status());
    response
}

async fn route(
    door: &Door,
    mut request: Request<Incoming>,
    client: SocketAddr,
    tasks: &Tasks,
    leave: &Leave,
) -> Response<Body> {
    if let Some(streams) = &door.streams
        && streams.is_route(request.uri().path())
    {
        return stream(streams, request, client, tasks, leave).await;
    }
    for (paths, service) in &door.services {
        let path = request.uri().path();
        if !paths.iter().any(|known| known.is(path)) {
            continue;
        }
        match service.call(request, client).await {
            Handled::Response(response) => return response,
            Handled::NotMine(unchanged) => request = unchanged,
        }
    }
    Problem::not_found("there is nothing at this path").into_response()
}

/// Opens a stream behind hyper.
async fn stream(
    streams: &Streams,
    request: Request<Incoming>,
    client: SocketAddr,
    tasks: &Tasks,
    leave: &Leave,
) -> Response<Body> {
    if request.method() != Method::GET {
        return Problem::method_not_allowed("GET").into_response();
    }
    let (parts, body) = request.into_parts();
    let opened = match streams.open(&parts, client.ip()).await {
        Ok(opened) => opened,
        Err(refusal) => return refusal,
    };
    let (sink, output, input) = streams.engine().channel();
    let transport = opened.subscription.transport;
    let adoption = Adoption {
        seat: opened.seat,
        sink: Sink::Channel(sink),
        prelude: bytes::Bytes::new(),
        leftover: Vec::new(),
        subscription: opened.subscription,
        reading: opened.reading,
    };
    if let Err(refused) = streams.engine().adopt(adoption) {
        return streams.refusal(transport, refused);
    }
    let (head, ()) = opened.head.into_parts();
    match transport {
        Transport::Sse => {
            leave.take(output.ended());
            Response::from_parts(head, events(output, input))
        }
        Transport::WebSocket => {
            let upgrade = hyper::upgrade::on(Request::from_parts(parts, body));
            tasks.spawn(async move {
                match upgrade.await {
                    Ok(upgraded) => pump(TokioIo::new(upgraded), output, input).await,
                    Err(error) => tracing::debug!(%error, "a connection was not upgraded"),
                }
            });
            debug_assert_eq!(head.status, StatusCode::SWITCHING_PROTOCOLS);
            Response::from_parts(head, access::http::body(bytes::Bytes::new()))
        }
    }
}

/// The stream as a body. The input lives as long, since its end would say that the client is gone.
fn events(output: ChannelBody, input: ChannelInput) -> Body {
    let frames = output.map(move |bytes| {
        let _input = &input;
        Ok::<_, Infallible>(Frame::data(bytes))
    });
    BodyExt::boxed(StreamBody::new(frames))
}

/// Carries bytes both ways until the stream ends; what it has sent last, a client has a moment to take.
async fn pump<Io>(io: Io, mut output: ChannelBody, input: ChannelInput)
where
    Io: AsyncRead + AsyncWrite,
{
    let (mut read, mut write) = tokio::io::split(io);
    let ended = output.ended();
    let over = async {
        ended.cancelled().await;
        tokio::time::sleep(LAST_BYTES).await;
    };
    let inbound = async move {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(READ_BYTES);
            match read.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            if !input.send(buffer.split().freeze()).await {
                break;
            }
        }
        // The worker ends the stream, and so the other direction.
        drop(input);
        std::future::pending::<()>().await;
    };
    let outbound = async move {
        while let Some(bytes) = output.next().await {
            write.write_all(&bytes).await?;
        }
        write.shutdown().await
    };
    tokio::select! {
        () = inbound => {}
        () = over => tracing::debug!("a client did not take the end of its stream"),
        ended = outbound => if let Err(error) = ended {
            tracing::debug!(%error, "a client left");
        },
    }
}
