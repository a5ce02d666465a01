//! A client of the native HTTP API that hides nothing: status, headers and body as they came.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::wait::within;

/// A node and a credential.
#[derive(Clone)]
pub struct Api {
    /// `http://127.0.0.1:…`
    pub base: String,
    /// Sent as bearer; empty for none.
    pub token: String,
    http: reqwest::Client,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: reqwest::header::HeaderMap,
    /// Its body as JSON; `null` when it is none.
    pub json: Value,
    /// Its body as text.
    pub text: String,
}

impl Api {
    /// A client of `base` that shows `token`.
    #[must_use]
    pub fn new(base: &str, token: &str) -> Self {
        // Whoever is first in the process; they are all the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        Self {
            base: base.to_owned(),
            token: token.to_owned(),
            http: reqwest::Client::new(),
        }
    }

    /// The same node with another credential.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    /// The same credential at another node.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            ..self.clone()
        }
    }

    /// A request with the credential.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        if self.token.is_empty() {
            request
        } else {
            request.bearer_auth(&self.token)
        }
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let response = within("an answer", request.send()).await;
        let response = response.expect("the node answers");
        let (status, headers) = (response.status(), response.headers().clone());
        let text = within("its body", response.text()).await.unwrap_or_default();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer {
            status,
            headers,
            json,
            text,
        }
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// `POST path` with JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// `PATCH path` with JSON.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    /// `PUT path` with JSON.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    /// `DELETE path`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Sends events and returns the cursor of the answer. Panics unless all were accepted.
    pub async fn send_events(&self, events: &[Value]) -> String {
        self.send_events_to("/v1/events", events).await
    }

    /// The same for `system`, which belongs to no tenant and names one.
    pub async fn send_events_of(&self, tenant: &str, events: &[Value]) -> String {
        self.send_events_to(&format!("/v1/events?tenant={tenant}"), events)
            .await
    }

    async fn send_events_to(&self, path: &str, events: &[Value]) -> String {
        let answer = self.post(path, &json!(events)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.json["accepted"], json!(events.len()), "{}", answer.text);
        answer.json["cursor"].as_str().expect("a cursor").to_owned()
    }

    /// Makes a token by `POST /v1/tokens` and returns its secret.
    pub async fn token(&self, body: &Value) -> String {
        let answer = self.post("/v1/tokens", body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        answer.json["token"].as_str().expect("a token").to_owned()
    }
}

/// A [`reading`] of each of so many devices, which are called `d-0`, `d-1`, …
#[must_use]
pub fn readings(devices: u64, n: u64) -> Vec<Value> {
    (0..devices)
        .map(|device| reading(&format!("d-{device}"), n))
        .collect()
}

/// A telemetry event of `device` with one field `n`.
#[must_use]
pub fn reading(device: &str, n: u64) -> Value {
    json!({"device": device, "kind": "telemetry", "fields": {"n": n}})
}
