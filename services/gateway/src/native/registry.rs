//! The read side of the Confluent Schema Registry API: off-the-shelf deserializers need no other
//! server. What it says is in the schema files; it needs no credential.
//!
//! <https://docs.confluent.io/platform/current/schema-registry/develop/api.html>

use std::net::SocketAddr;

use access::http::{Body, Handled, HttpService, Path};
use async_trait::async_trait;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use schemas::registry::{self, Registered, Subject};
use serde_json::{Value, json};

const CONTENT: HeaderValue = HeaderValue::from_static("application/vnd.schemaregistry.v1+json");
/// The compatibility that a test holds every version to.
const COMPATIBILITY: &str = "FULL_TRANSITIVE";

/// Answers `/subjects…`, `/schemas…` and `/config…`, on any listener.
#[derive(Debug, Clone, Copy, Default)]
pub struct SchemaRegistry;

/// An error as the API has it.
struct Fault {
    status: StatusCode,
    code: u32,
    message: String,
}

impl Fault {
    fn not_found(code: u32, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            code,
            message: message.into(),
        }
    }
}

impl SchemaRegistry {
    /// The answer to `GET path`; `None` for a path of somebody else.
    fn answer(path: &str) -> Option<Result<Value, Fault>> {
        let segments: Vec<String> = path
            .strip_prefix('/')?
            .trim_end_matches('/')
            .split('/')
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        Some(match segments.as_slice() {
            ["subjects"] => Ok(json!(Subject::ALL.map(Subject::name))),
            ["subjects", name, "versions"] => subject(name).map(|subject| {
                registry::versions(subject)
                    .map(|registered| registered.version)
                    .collect()
            }),
            ["subjects", name, "versions", number] => version(name, number).map(whole),
            ["subjects", name, "versions", number, "schema"] => {
                // The schema itself, not a text in which it stands.
                version(name, number)
                    .map(|registered| serde_json::from_str(registered.schema_text).unwrap_or(Value::Null))
            }
            ["schemas", "types"] => Ok(json!(["AVRO"])),
            ["schemas", "ids", id] => by_id(id).map(|registered| json!({"schema": registered.schema_text})),
            ["schemas", "ids", id, "schema"] => by_id(id)
                .map(|registered| serde_json::from_str(registered.schema_text).unwrap_or(Value::Null)),
            ["schemas", "ids", id, "subjects"] => {
                by_id(id).map(|registered| json!([registered.subject.name()]))
            }
            ["schemas", "ids", id, "versions"] => by_id(id).map(
                |registered| json!([{"subject": registered.subject.name(), "version": registered.version}]),
            ),
            ["config"] => Ok(json!({"compatibilityLevel": COMPATIBILITY})),
            ["config", name] => subject(name).map(|_| json!({"compatibilityLevel": COMPATIBILITY})),
            ["subjects" | "schemas" | "config", ..] => Err(Fault::not_found(404, "HTTP 404 Not Found")),
            _ => return None,
        })
    }
}

fn whole(registered: &'static Registered) -> Value {
    json!({
        "subject": registered.subject.name(), "version": registered.version,
        "id": registered.id, "schema": registered.schema_text,
    })
}

fn subject(name: &str) -> Result<Subject, Fault> {
    Subject::from_name(name).ok_or_else(|| Fault::not_found(40_401, format!("Subject '{name}' not found.")))
}

fn version(name: &str, number: &str) -> Result<&'static Registered, Fault> {
    let subject = subject(name)?;
    let missing = || Fault::not_found(40_402, format!("Version {number} not found."));
    // -1 is another word for it.
    if matches!(number, "latest" | "-1") {
        return registry::latest(subject).ok_or_else(missing);
    }
    let wanted: u32 = number.parse().ok().filter(|version| *version > 0).ok_or_else(|| Fault {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        code: 42_202,
        message: format!(
            "The specified version '{number}' is not a valid version id. Allowed values are between [1, 2^31-1] \
             and the string \"latest\""
        ),
    })?;
    registry::versions(subject)
        .find(|registered| registered.version == wanted)
        .ok_or_else(missing)
}

fn by_id(id: &str) -> Result<&'static Registered, Fault> {
    let missing = || Fault::not_found(40_403, format!("Schema {id} not found"));
    id.parse().ok().and_then(registry::by_id).ok_or_else(missing)
}

fn respond(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(access::http::body(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, CONTENT);
    response
}

fn respond_fault(fault: &Fault) -> Response<Body> {
    respond(
        fault.status,
        &json!({"error_code": fault.code, "message": fault.message}),
    )
}

#[async_trait]
impl HttpService for SchemaRegistry {
    fn paths(&self) -> Vec<Path> {
        vec![
            Path::get("/subjects[/]"),
            Path::get("/subjects/{rest…}"),
            Path::get("/schemas[/]"),
            Path::get("/schemas/{rest…}"),
            Path::get("/config[/]"),
            Path::get("/config/{rest…}"),
        ]
    }

    async fn call(&self, request: Request<Incoming>, _: SocketAddr) -> Handled {
        let Some(answer) = Self::answer(request.uri().path()) else {
            return Handled::NotMine(request);
        };
        if request.method() != Method::GET {
            let mut response = respond_fault(&Fault {
                status: StatusCode::METHOD_NOT_ALLOWED,
                code: 405,
                message: "HTTP 405 Method Not Allowed: schemas are published with the product; this is the read side"
                    .to_owned(),
            });
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET"));
            return Handled::Response(response);
        }
        Handled::Response(match answer {
            Ok(value) => respond(StatusCode::OK, &value),
            Err(fault) => respond_fault(&fault),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Result<Value, u32> {
        SchemaRegistry::answer(path).unwrap().map_err(|fault| fault.code)
    }

    #[test]
    fn a_deserializer_finds_the_schema_of_an_id() {
        let registered = registry::latest(Subject::Events).unwrap();
        let answer = get(&format!("/schemas/ids/{}", registered.id)).unwrap();
        assert_eq!(answer["schema"], registered.schema_text);
        assert_eq!(get("/schemas/ids/1"), Err(40_403));
        assert_eq!(get("/schemas/ids/x"), Err(40_403));
    }

    #[test]
    fn subjects_and_versions_are_listed() {
        assert!(
            get("/subjects")
                .unwrap()
                .as_array()
                .unwrap()
                .contains(&json!("wakeline.events-value"))
        );
        assert_eq!(get("/subjects/wakeline.events-value/versions").unwrap()[0], 1);
        let latest = get("/subjects/wakeline.events-value/versions/latest").unwrap();
        assert_eq!(latest["subject"], "wakeline.events-value");
        assert_eq!(latest["id"], registry::latest(Subject::Events).unwrap().id);
    }

    #[test]
    fn errors_have_the_codes_that_clients_know() {
        assert_eq!(get("/subjects/nope/versions"), Err(40_401));
        assert_eq!(get("/subjects/wakeline.events-value/versions/99"), Err(40_402));
        assert_eq!(get("/subjects/wakeline.events-value/versions/x"), Err(42_202));
    }

    #[test]
    fn the_compatibility_is_the_one_that_is_tested() {
        assert_eq!(get("/config").unwrap()["compatibilityLevel"], "FULL_TRANSITIVE");
    }

    #[test]
    fn other_paths_are_left_to_others() {
        assert!(SchemaRegistry::answer("/v1/devices").is_none());
        assert!(SchemaRegistry::answer("/").is_none());
    }
}
