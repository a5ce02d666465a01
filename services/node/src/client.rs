//! A client of the native HTTP API: what `token`, `tail`, `simulate` and `demo` speak through.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::cli::ServerArgs;

/// Where a node listens unless told otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:8080";
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the answer to a request that is no stream.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a request failed, for the user.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The node could not be reached, or broke off.
    #[error("{url}: {source}")]
    Unreachable {
        /// The node.
        url: String,
        /// What the HTTP client said.
        source: reqwest::Error,
    },
    /// The node said no.
    #[error("{status}: {detail}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its reason.
        detail: String,
        /// When to come back, where it said so.
        retry_after: Option<Duration>,
    },
    /// No credential.
    #[error("no credential; put one into WAKELINE_TOKEN (`wakeline token create` makes one)")]
    NoToken,
}

/// A client of one node.
#[derive(Clone)]
pub struct Client {
    base: String,
    token: String,
    http: reqwest::Client,
}

/// What a node said of a batch of events.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// Events acknowledged.
    pub accepted: u64,
    /// Index, reason, and whether to send it again, of those that were not.
    pub rejected: Vec<(usize, String, bool)>,
    /// Where reading your own writes begins.
    pub cursor: Option<String>,
}

impl Client {
    /// A client of the node and credential that the command line names.
    ///
    /// # Errors
    /// When there is no credential.
    pub fn new(server: &ServerArgs) -> Result<Self, ClientError> {
        let base = server.url.clone().unwrap_or_else(|| DEFAULT_URL.to_owned());
        let token = server.token.clone().ok_or(ClientError::NoToken)?;
        let unreachable = |source| ClientError::Unreachable {
            url: base.clone(),
            source,
        };
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(unreachable)?;
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            token,
            http,
        })
    }

    /// The node's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Sends newline-delimited events.
    ///
    /// # Errors
    /// When the node could not be reached or refused the whole request.
    pub async fn post_events(&self, ndjson: String, tenant: Option<&str>) -> Result<Taken, ClientError> {
        let request = self
            .request(Method::POST, "/v1/events", &query(&[("tenant", tenant)]))
            .header(CONTENT_TYPE, "application/x-ndjson")
            .timeout(REQUEST_TIMEOUT)
            .body(ndjson);
        let response = self.send(request).await?;
        let status = response.status();
        let retry_after = retry_after(&response);
        let body = self.json(response).await?;
        if !status.is_success() && body.get("rejected").is_none() {
            return Err(ClientError::Refused {
                status,
                detail: detail(&body),
                retry_after,
            });
        }
        let rejected = body["rejected"].as_array().into_iter().flatten().map(|item| {
            let index = item["index"]
                .as_u64()
                .and_then(|index| usize::try_from(index).ok());
            let error = item["error"].as_str().unwrap_or("refused").to_owned();
            (
                index.unwrap_or(0),
                error,
                item["retry"].as_bool().unwrap_or(false),
            )
        });
        Ok(Taken {
            accepted: body["accepted"].as_u64().unwrap_or(0),
            rejected: rejected.collect(),
            cursor: body["cursor"].as_str().map(str::to_owned),
        })
    }

    /// A JSON request.
    ///
    /// # Errors
    /// When the node could not be reached or refused it.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, Option<&str>)],
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let mut request = self
            .request(method, path, &query(parameters))
            .timeout(REQUEST_TIMEOUT);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = self.checked(request).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        self.json(response).await
    }

    /// Opens a server-sent event stream, resuming after `last_event_id`.
    ///
    /// # Errors
    /// When the node could not be reached or refused it.
    pub async fn stream(
        &self,
        parameters: &[(&str, Option<&str>)],
        last_event_id: Option<&str>,
    ) -> Result<Response, ClientError> {
        let mut request = self.request(Method::GET, "/v1/stream", &query(parameters));
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        self.checked(request).await
    }

    fn request(&self, method: Method, path: &str, query: &str) -> RequestBuilder {
        let url = format!("{}{path}{query}", self.base);
        self.http
            .request(method, url)
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        request.send().await.map_err(|source| self.unreachable(source))
    }

    async fn checked(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = self.send(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = retry_after(&response);
        let body = self.json(response).await.unwrap_or(Value::Null);
        Err(ClientError::Refused {
            status,
            detail: detail(&body),
            retry_after,
        })
    }

    async fn json(&self, response: Response) -> Result<Value, ClientError> {
        response.json().await.map_err(|source| self.unreachable(source))
    }

    fn unreachable(&self, source: reqwest::Error) -> ClientError {
        // The URL of the request may hold what must not be printed; ours says enough.
        ClientError::Unreachable {
            url: self.base.clone(),
            source: source.without_url(),
        }
    }
}

fn query(parameters: &[(&str, Option<&str>)]) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            text.append_pair(name, value);
        }
    }
    let text = text.finish();
    if text.is_empty() { text } else { format!("?{text}") }
}

fn detail(body: &Value) -> String {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    text("detail")
        .or_else(|| text("title"))
        .unwrap_or("the node gave no reason")
        .to_owned()
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
