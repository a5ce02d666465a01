//! The public listener. The defaults are those of the part; a test holds the two together.

use super::super::Setting;
use super::{count, size, time};

pub(super) const SETTINGS: &[Setting] = &[
    count!(
        "http-connections-max",
        "16384",
        "Connections that the front door holds itself: those that are sending a request's head or speak plain HTTP. A stream that a worker has taken over counts no more",
        front_door.connections_max
    ),
    count!(
        "http-connections-per-address-max",
        "8192",
        "Of them, those of one address (IPv6: of one /64). Trusted proxies speak for many and are exempt",
        front_door.connections_per_address_max
    ),
    count!(
        "http-refusals-max",
        "1024",
        "Connections beyond that which are still told so at the same time; more are closed unanswered",
        front_door.refusals_max
    ),
    time!(
        "http-refusal-timeout",
        "2s",
        "How long a connection that is told so may take to send its head and to read the answer",
        front_door.refusal_timeout
    ),
    size!(
        "http-head-bytes-max",
        "96KiB",
        "A request's head, bytes",
        front_door.head_bytes_max
    ),
    count!(
        "http-headers-max",
        "100",
        "Headers of a request",
        front_door.headers_max
    ),
    time!(
        "http-head-timeout",
        "30s",
        "How long a request's head may take, from the first wait for it; an idle connection is closed after this",
        front_door.head_timeout
    ),
    time!(
        "http-write-timeout",
        "30s",
        "How long a client may take no byte of an answer before its connection is cut; streams have gateway-stalled-max",
        front_door.write_timeout
    ),
    time!(
        "http-handshake-timeout",
        "10s",
        "How long a TLS handshake may take",
        front_door.handshake_timeout
    ),
    count!(
        "http-http2-streams-max",
        "256",
        "Requests at once on one HTTP/2 connection",
        front_door.http2_streams_max
    ),
    time!(
        "http-http2-ping",
        "25s",
        "An HTTP/2 connection is asked for a sign of life this often, and closed without one",
        front_door.http2_ping
    ),
    time!(
        "http-preflight-max-age",
        "10m",
        "How long a browser may remember what a preflight told it",
        front_door.preflight_max_age
    ),
];
