//! Limits and times of the front door, each with its default.

use std::time::Duration;

use ipnet::IpNet;

/// Settings of the front door.
#[derive(Debug, Clone, PartialEq)]
pub struct FrontDoorSettings {
    /// Connections that the front door holds itself: those that are sending a request's head or speak
    /// plain HTTP. A stream that a worker has taken over counts no more.
    pub connections_max: usize,
    /// Of them, those of one address (IPv6: of one /64). Trusted proxies speak for many and are exempt.
    pub connections_per_address_max: usize,
    /// Connections beyond that which are still told so at the same time; more are closed unanswered.
    pub refusals_max: usize,
    /// How long a connection that is told so may take to send its head and to read the answer.
    pub refusal_timeout: Duration,
    /// What a refused client is told to wait lies between these.
    pub retry_refused: (Duration, Duration),
    /// A request's head, bytes.
    pub head_bytes_max: usize,
    /// Headers of a request.
    pub headers_max: usize,
    /// How long a request's head may take, from the first wait for it; an idle connection is closed
    /// after this.
    pub head_timeout: Duration,
    /// How long a client may take no byte of an answer before its connection is cut. Streams are looked
    /// after by the engine.
    pub write_timeout: Duration,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// Requests at once on one HTTP/2 connection.
    pub http2_streams_max: u32,
    /// An HTTP/2 connection is asked for a sign of life this often, and closed without one.
    pub http2_ping: Duration,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose pages may use the API, such as `https://app.example.com`; `*` is any.
    pub allowed_origins: Vec<String>,
    /// How long a browser may remember what a preflight told it.
    pub preflight_max_age: Duration,
}

impl Default for FrontDoorSettings {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            connections_per_address_max: 8_192,
            refusals_max: 1_024,
            refusal_timeout: Duration::from_secs(2),
            retry_refused: (Duration::from_secs(5), Duration::from_secs(30)),
            // A target may have 64 KiB.
            head_bytes_max: 96 << 10,
            headers_max: 100,
            head_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            http2_streams_max: 256,
            http2_ping: Duration::from_secs(25),
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            preflight_max_age: Duration::from_secs(600),
        }
    }
}
