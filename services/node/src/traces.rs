//! Traces of requests: continues the sender's W3C trace context, and hands the span's own to ingest,
//! which puts it into the headers of the records.

use std::net::SocketAddr;

use access::http::Traceparent;
use gateway::front_door::Observer;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use journal::Traces;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Name of the header and of the record header.
const TRACEPARENT: &str = "traceparent";

/// Makes a span for each request and carries its context on.
#[derive(Debug, Default)]
pub struct Traced {
    propagator: TraceContextPropagator,
}

impl Observer for Traced {
    fn begin(&self, parts: &mut Parts, client: SocketAddr) -> Span {
        let span = tracing::info_span!(
            "request",
            otel.kind = "server",
            http.request.method = %parts.method,
            url.path = parts.uri.path(),
            client.address = %client.ip(),
            http.response.status_code = tracing::field::Empty,
        );
        let parent = self.propagator.extract(&Headers(&parts.headers));
        if span.set_parent(parent).is_ok() {
            let mut carrier = Carrier::default();
            self.propagator.inject_context(&span.context(), &mut carrier);
            if let Some(traceparent) = carrier.traceparent {
                parts.extensions.insert(Traceparent(traceparent.into()));
            }
        }
        span
    }

    fn end(&self, span: &Span, status: StatusCode) {
        span.record("http.response.status_code", status.as_u16());
    }
}

/// Continues the traces of records: what the projector and the gateway do with a record becomes part of
/// the trace of the request that appended it.
#[must_use]
pub fn of_records() -> Traces {
    let propagator = TraceContextPropagator::new();
    Traces::new(move |name, traceparent| {
        let span = tracing::info_span!("record", otel.name = name, otel.kind = "consumer");
        // A trace that cannot be continued is a span of its own.
        drop(span.set_parent(propagator.extract(&OfRecord(traceparent))));
        span
    })
}

struct OfRecord<'a>(&'a str);

impl Extractor for OfRecord<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

#[derive(Default)]
struct Carrier {
    traceparent: Option<String>,
}

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        if key == TRACEPARENT {
            self.traceparent = Some(value);
        }
    }
}
