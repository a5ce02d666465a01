//! `POST /v1/events`.

use std::net::SocketAddr;
use std::sync::Arc;

use ::http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use ::http::request::Parts;
use ::http::{HeaderValue, Method, Request, Response, StatusCode};
use access::http::{
    Attempt, Body, BodyError, Handled, HttpService, Path, Problem, Query, Surface, Traceparent, authenticate,
    json, read_body_metered,
};
use access::{Principal, Submission};
use async_trait::async_trait;
use bytes::Bytes;
use hyper::body::Incoming;
use schemas::Kind;
use serde_json::value::RawValue;

use crate::Ingest;
use crate::decompress::{DecompressError, Encoding, decompress};
use crate::items::{BodyFault, Format, split};
use crate::outcome::{Answer, status};
use crate::refused::{Refused, Sender};
use crate::room::Held;
use crate::sink::{Core, Source};

const PATH: &str = "/v1/events";
/// How far a body that is refused as a whole is looked through for what it calls secret.
const LOOKED_AT_BYTES: usize = 64 << 10;

#[async_trait]
impl HttpService for Ingest {
    fn paths(&self) -> Vec<Path> {
        vec![Path::new("POST", PATH)]
    }

    async fn call(&self, request: Request<Incoming>, peer: SocketAddr) -> Handled {
        if request.uri().path() != PATH {
            return Handled::NotMine(request);
        }
        let (head, body) = request.into_parts();
        let response = self
            .core
            .answer(&head, body, peer)
            .await
            .unwrap_or_else(Problem::into_response);
        self.core.metrics.answered(response.status());
        Handled::Response(response)
    }
}

/// A body that is refused as a whole.
struct WholeRefused {
    problem: Problem,
    /// What of it is at hand.
    original: Bytes,
}

impl Core {
    async fn answer(
        self: &Arc<Self>,
        head: &Parts,
        body: Incoming,
        peer: SocketAddr,
    ) -> Result<Response<Body>, Problem> {
        let attempt = Attempt::of(head, peer.ip(), (self.clock)());
        let principal = authenticate(&self.directory, Surface::API, attempt).await?;
        if head.method != Method::POST {
            return Err(Problem::method_not_allowed("POST"));
        }
        if !Kind::ALL.into_iter().any(|kind| principal.sends(kind)) {
            return Err(Problem::forbidden(format!(
                "a token of role {} sends no events",
                principal.role.word()
            )));
        }
        let query = Query::parse(head.uri.query());
        let tenant = principal.resolve_tenant(query.get("tenant")?)?;
        let traceparent = traceparent(head);
        let mut room = self.room.held(&tenant, &self.metrics);
        let items = match self.read(&head.headers, body, &mut room).await {
            Ok(items) => items,
            Err(refused) => {
                self.keep_whole(&principal, &tenant, traceparent.as_deref(), &refused);
                return Err(refused.problem);
            }
        };
        let submission = Submission {
            tenant,
            device: None,
            items,
            traceparent,
        };
        let taken = self.take(&principal, submission, Source::Api).await;
        drop(room);
        let (status, again) = status(&taken.outcomes);
        let answer = Answer::new(&taken.outcomes, self.journal.epoch, taken.received_at);
        let text = serde_json::to_string(&answer).map_err(|error| {
            tracing::error!(%error, "an answer could not be written");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the answer could not be written",
            )
        })?;
        let mut response = json(status, text);
        if again {
            let seconds = HeaderValue::from(self.settings.retry_after.as_secs().max(1));
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        Ok(response)
    }

    /// Reads and takes apart a whole body: until that is done, nothing of it is appended.
    async fn read(
        self: &Arc<Self>,
        headers: &HeaderMap,
        body: Incoming,
        room: &mut Held,
    ) -> Result<Vec<Box<RawValue>>, WholeRefused> {
        let unread = |problem: Problem| WholeRefused {
            problem,
            original: Bytes::new(),
        };
        let encoding = Encoding::of(headers).map_err(|error| {
            unread(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                error.to_string(),
            ))
        })?;
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let format = Format::of(content_type);
        let (bytes_max, within) = (self.settings.body_bytes_max, self.settings.body_within);
        let body = read_body_metered(body, bytes_max, within, |bytes| room.take(bytes))
            .await
            .map_err(|error| {
                unread(match error {
                    BodyError::Busy => self.busy(),
                    BodyError::TooLarge { .. } | BodyError::CutOff { .. } | BodyError::Slow { .. } => {
                        error.into()
                    }
                })
            })?;
        if body.len() <= self.settings.inline_bytes_max && encoding == Encoding::Identity {
            return self.take_apart(format, encoding, body, room);
        }
        // The room goes along, and comes back: it is held until the answer is known.
        let mut lent = room.lend();
        let this = Arc::clone(self);
        let work = tokio::task::spawn_blocking(move || {
            let items = this.take_apart(format, encoding, body, &mut lent);
            (items, lent)
        });
        match work.await {
            Ok((items, returned)) => {
                *room = returned;
                items
            }
            Err(error) => {
                tracing::error!(%error, "a body could not be taken apart");
                let detail = "the body could not be handled";
                Err(unread(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)))
            }
        }
    }

    fn take_apart(
        &self,
        format: Format,
        encoding: Encoding,
        body: Bytes,
        room: &mut Held,
    ) -> Result<Vec<Box<RawValue>>, WholeRefused> {
        let body = match encoding {
            Encoding::Identity => body,
            Encoding::Gzip | Encoding::Zstd => {
                let bytes_max = self.settings.body_bytes_max;
                let decompressed = decompress(encoding, &body, bytes_max, |bytes| room.take(bytes));
                decompressed.map(Bytes::from).map_err(|error| WholeRefused {
                    problem: match error {
                        DecompressError::Busy => self.busy(),
                        DecompressError::TooLarge { .. } => {
                            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
                        }
                        DecompressError::Damaged { .. } => Problem::bad_request(error.to_string()),
                    },
                    original: Bytes::new(),
                })?
            }
        };
        self.metrics.body_bytes.inc_by(body.len() as u64);
        split(format, &body, self.settings.events_max).map_err(|fault| WholeRefused {
            problem: describe(&fault),
            original: body,
        })
    }

    fn busy(&self) -> Problem {
        let seconds = self.settings.retry_after.as_secs().max(1);
        Problem::unavailable("too many requests are being read at once", seconds)
    }

    fn keep_whole(
        &self,
        principal: &Principal,
        tenant: &str,
        traceparent: Option<&str>,
        refused: &WholeRefused,
    ) {
        if refused.problem.status().is_server_error() {
            return; // not the input's fault
        }
        let placement = self.directory.placement(tenant);
        let sender = Sender {
            principal,
            tenant,
            placement: placement.as_deref(),
            received_at: (self.clock)(),
            traceparent,
        };
        // What it calls secret may stand behind what is kept of it.
        let looked_at = self.settings.rejected_bytes_max.max(LOOKED_AT_BYTES);
        let head = &refused.original[..refused.original.len().min(looked_at)];
        let refused = Refused {
            reason: refused.problem.detail(),
            original: &String::from_utf8_lossy(head),
            device: None,
        };
        self.refusals.keep(&sender, std::iter::once(refused));
    }
}

fn describe(fault: &BodyFault) -> Problem {
    let detail = fault.to_string();
    match fault {
        BodyFault::Syntax { line, column, .. } => Problem::bad_request(detail)
            .with("line", *line)
            .with("column", *column),
        BodyFault::Encoding { .. } | BodyFault::Shape => Problem::bad_request(detail),
        BodyFault::TooMany { .. } => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail),
    }
}

/// The trace that the records belong to: that of the span which serves the request, else the
/// sender's.
fn traceparent(head: &Parts) -> Option<Box<str>> {
    if let Some(Traceparent(own)) = head.extensions.get() {
        return Some(own.clone());
    }
    Traceparent::sent(&head.headers)
}
