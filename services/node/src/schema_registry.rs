//! Registers the schemas in a Confluent Schema Registry under their fixed ids (import mode).
//!
//! <https://docs.confluent.io/platform/current/schema-registry/develop/api.html>

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use schemas::registry::{self, Registered, Subject};
use serde_json::{Value, json};

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What the registry speaks.
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Why the schemas are not registered; the node does not start then.
#[derive(Debug, thiserror::Error)]
#[error("schema-registry {url}: {problem}")]
pub struct RegistryError {
    /// The registry.
    pub url: String,
    /// What it said, or why it was not reached.
    pub problem: String,
}

/// Makes sure that every version of every topic's schema stands in the registry at `url` under its id.
///
/// # Errors
/// When the registry is away, refuses, or has another schema under one of the ids.
pub async fn register(url: &str) -> Result<(), RegistryError> {
    let registry = Registry {
        url: url.trim_end_matches('/'),
        http: Client::new(),
    };
    for registered in registry::all()
        .iter()
        .filter(|registered| registered.subject != Subject::Device)
    {
        registry
            .ensure(registered)
            .await
            .map_err(|problem| RegistryError {
                url: url.to_owned(),
                problem,
            })?;
    }
    Ok(())
}

struct Registry<'a> {
    url: &'a str,
    http: Client,
}

impl Registry<'_> {
    async fn ensure(&self, wanted: &Registered) -> Result<(), String> {
        let subject = wanted.subject.name();
        let (status, found) = self
            .call(
                Method::GET,
                &format!("/subjects/{subject}/versions/{}", wanted.version),
                None,
            )
            .await?;
        if status.is_success() {
            return if found["id"] == json!(wanted.id) {
                Ok(())
            } else {
                Err(format!(
                    "version {} of {subject} has id {} there, and {} here: ids are fixed, so use a registry of its own \
                     or delete that subject",
                    wanted.version, found["id"], wanted.id
                ))
            };
        }
        if status != StatusCode::NOT_FOUND {
            return Err(refused(status, &found));
        }
        self.import(wanted, subject).await
    }

    /// Import mode takes a schema under a given id; it is left again whatever happens.
    async fn import(&self, wanted: &Registered, subject: &str) -> Result<(), String> {
        let mode = format!("/mode/{subject}?force=true");
        self.expect(Method::PUT, &mode, &json!({"mode": "IMPORT"}))
            .await?;
        let body = json!({
            "schema": wanted.schema_text, "schemaType": "AVRO", "id": wanted.id, "version": wanted.version,
        });
        let registered = self
            .expect(Method::POST, &format!("/subjects/{subject}/versions"), &body)
            .await;
        let left = self
            .expect(Method::PUT, &mode, &json!({"mode": "READWRITE"}))
            .await;
        registered.and(left)
    }

    async fn expect(&self, method: Method, path: &str, body: &Value) -> Result<(), String> {
        let (status, answer) = self.call(method, path, Some(body)).await?;
        if status.is_success() {
            Ok(())
        } else {
            Err(refused(status, &answer))
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), String> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .timeout(TIMEOUT);
        if let Some(body) = body {
            request = request
                .header("Content-Type", CONTENT_TYPE)
                .body(body.to_string());
        }
        let response = request
            .send()
            .await
            .map_err(|error| format!("cannot be reached: {error}"))?;
        let status = response.status();
        Ok((status, response.json().await.unwrap_or(Value::Null)))
    }
}

fn refused(status: StatusCode, answer: &Value) -> String {
    format!(
        "answered {status}: {}",
        answer["message"].as_str().unwrap_or("no reason given")
    )
}
