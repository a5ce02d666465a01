//! `q=`: what of the devices is shown, on streams and lists.

mod limits;
mod list;
mod resume;
mod stream;

use reqwest::Url;
use serde_json::{Value, json};

/// `query` with a filter.
fn with_q(query: &str, q: &str) -> String {
    let mut url = Url::parse(&format!("http://localhost/?{query}")).expect("a query");
    url.query_pairs_mut().append_pair("q", q);
    url.query().expect("a query").to_owned()
}

/// A device reports where it is and how fast; no zone is none.
fn drives(device: &str, speed: i64, zone: Option<&str>) -> Value {
    json!({"device": device, "kind": "telemetry", "fields": {"speed": speed, "zone": zone}})
}
