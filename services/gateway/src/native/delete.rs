//! `DELETE /v1/devices/{id}` and `DELETE /v1/devices?id=`: appends that the device is gone.

use access::Submission;
use access::http::Problem;
use http::StatusCode;
use journal::{Cursor, Topic};
use schemas::Kind;
use schemas::json::write_string;
use serde_json::value::RawValue;

use super::acting::refused;
use super::{Answer, Caller, Native, answer, no_device};

impl Native {
    pub(super) async fn delete(&self, caller: &Caller, id: &str, known: &[&str]) -> Answer {
        caller.knows(known)?;
        if !caller.principal.sends(Kind::Deleted) {
            return Err(Problem::forbidden("only admin and system tokens delete devices"));
        }
        if !caller.principal.may_write(&caller.tenant, id, Kind::Deleted) {
            return Err(no_device());
        }
        let submission = Submission {
            tenant: caller.tenant.clone(),
            device: None,
            items: vec![deleted(id)?],
            traceparent: caller.traceparent.clone(),
        };
        let outcome = self.events.submit(&caller.principal, submission).await.pop();
        let accepted = outcome
            .ok_or_else(|| Problem::unavailable("the log gave no answer", 1))?
            .map_err(|rejection| refused(&rejection))?;
        let cursor = Cursor {
            epoch: self.journal.epoch,
            time_ms: accepted.received_at.div_euclid(1_000),
            topic: Topic::Events,
            positions: vec![(accepted.position.partition, accepted.position.offset + 1)],
            snapshot: None,
        };
        Ok(answer::cursor(StatusCode::ACCEPTED, &cursor))
    }
}

fn deleted(id: &str) -> Result<Box<RawValue>, Problem> {
    let mut text = b"{\"kind\":\"deleted\",\"device\":".to_vec();
    write_string(id, &mut text);
    text.push(b'}');
    let text = String::from_utf8(text).ok();
    text.and_then(|text| RawValue::from_string(text).ok())
        .ok_or_else(|| Problem::bad_request("the device's id cannot be written as JSON"))
}
