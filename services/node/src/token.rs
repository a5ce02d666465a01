//! `wakeline token`: over HTTP, or directly on the storage where no node holds it.

use std::io::Write as _;

use access::Role;
use journal::Clock;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::app::{self, RunError};
use crate::cli::{ServerArgs, TokenCommand, TokenCreate};
use crate::client::Client;
use crate::config::Config;
use crate::storage::{self, OpenError};

/// Creates, lists or revokes; prints one JSON object a line, and for `create` the secret alone.
///
/// # Errors
/// What the node or the storage said.
pub async fn run(
    storage: Option<&Config>,
    server: &ServerArgs,
    command: &TokenCommand,
    clock: &Clock,
) -> Result<(), RunError> {
    match storage {
        Some(config) => direct(config, command, clock).await,
        None => over_http(server, command).await,
    }
}

async fn over_http(server: &ServerArgs, command: &TokenCommand) -> Result<(), RunError> {
    let client = Client::new(server)?;
    match command {
        TokenCommand::Create(create) => {
            let tenant = create
                .tenant
                .as_deref()
                .filter(|_| create.role != Role::System.word());
            let made = client
                .call(
                    Method::POST,
                    "/v1/tokens",
                    &[("tenant", tenant)],
                    Some(&request(create)),
                )
                .await?;
            print(made["token"].as_str().unwrap_or_default())
        }
        TokenCommand::List { tenant } => {
            let answer = client
                .call(Method::GET, "/v1/tokens", &[("tenant", tenant.as_deref())], None)
                .await?;
            answer["tokens"]
                .as_array()
                .into_iter()
                .flatten()
                .try_for_each(|token| print(&token.to_string()))
        }
        TokenCommand::Revoke { id, tenant } => {
            let path = format!("/v1/tokens/{id}");
            client
                .call(Method::DELETE, &path, &[("tenant", tenant.as_deref())], None)
                .await?;
            print("revoked")
        }
    }
}

/// The body of `POST /v1/tokens`.
fn request(create: &TokenCreate) -> Value {
    let mut body = Map::new();
    body.insert("role".into(), json!(create.role));
    body.insert("permissions".into(), json!(create.permissions));
    if let Some(tenant) = &create.tenant {
        body.insert("tenant".into(), json!(tenant));
    }
    if let Some(devices) = &create.devices {
        body.insert("devices".into(), json!(devices));
    }
    if let Some(expires) = &create.expires {
        body.insert("expires".into(), json!(expires));
    }
    Value::Object(body)
}

/// Runs a node for the length of one call, with its own way in, so that there is one administration.
async fn direct(config: &Config, command: &TokenCommand, clock: &Clock) -> Result<(), RunError> {
    let started = app::private_node(config, clock).await;
    if let Err(RunError::Open(OpenError::Embedded(held @ embedded::OpenError::InUse { .. }))) = &started {
        return Err(RunError::Task(format!(
            "{held}\nA running node makes tokens over HTTP: set WAKELINE_TOKEN to a credential of role system or \
             admin and add --url http://HOST:PORT instead of --data"
        )));
    }
    let (node, token) = started?;
    let server = ServerArgs {
        url: Some(format!("http://{}", node.public())),
        token: Some(token),
    };
    let done = over_http(&server, command).await;
    node.drain(storage::PRIVATE_DRAIN).await;
    done
}

fn print(line: &str) -> Result<(), RunError> {
    writeln!(std::io::stdout().lock(), "{line}").map_err(RunError::Io)
}
