//! Events that the API itself makes of what a caller asks: commands, steps of alerts, deletions. They go the
//! way of all events, through one admission, under the caller's name.

use access::events::{Accepted, Reason};
use access::http::Problem;
use access::{Rejection, Submission};
use http::StatusCode;
use journal::{Offset, Partition, Topic};
use serde_json::Value;
use serde_json::value::to_raw_value;
use state::Stored;

use super::{Caller, Native, no_device};
use crate::commands::acting;

impl Native {
    /// Appends one event of `device` for a caller whose right to it was judged.
    pub(super) async fn append(
        &self,
        caller: &Caller,
        device: &str,
        event: &Value,
    ) -> Result<Accepted, Problem> {
        let item = to_raw_value(event)
            .map_err(|error| Problem::bad_request(format!("it cannot be written as an event: {error}")))?;
        let submission = Submission {
            tenant: caller.tenant.clone(),
            device: Some(device.into()),
            items: vec![item],
            traceparent: caller.traceparent.clone(),
        };
        let actor = acting(&caller.principal, &caller.tenant, device);
        let outcome = self.events.submit(&actor, submission).await.pop();
        outcome
            .ok_or_else(|| Problem::unavailable("the log gave no answer", 1))?
            .map_err(|rejection| refused(&rejection))
    }

    /// The device's document. One that is not there may have been made a moment ago: it is looked for again
    /// once all is applied that the log holds now, or that takes too long.
    pub(super) async fn stored_of_late(
        &self,
        caller: &Caller,
        device: &str,
    ) -> Result<Option<Stored>, Problem> {
        let stored = self.stored(caller, device).await?;
        if stored.is_some() {
            return Ok(stored);
        }
        let partition = self.partition(&caller.tenant, device);
        let bounds = self.journal.reader.bounds(Topic::Events, &[partition]).await;
        let Some(Ok(bounds)) = bounds.into_iter().next() else {
            return Ok(None);
        };
        self.settle_to(partition, bounds.end).await;
        self.stored(caller, device).await
    }

    /// Waits a little until what was appended can be read, so that its caller finds it. What is durable is
    /// durable whether that comes in time or not.
    pub(super) async fn settle(&self, accepted: &Accepted) {
        let position = accepted.position;
        self.settle_to(position.partition, position.offset + 1).await;
    }

    async fn settle_to(&self, partition: Partition, source: Offset) {
        let reached = self.applied.reached(partition, source);
        match tokio::time::timeout(self.settings.settle_max, reached).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "progress cannot be read"),
            Err(_) => tracing::debug!("what the log holds is not applied yet"),
        }
    }
}

impl Caller {
    /// Whether the caller may act on `device`: send commands, settle alerts. Who may not see it does not
    /// learn that it is there.
    pub(super) fn may_act(&self, device: &str) -> Result<(), Problem> {
        if self.principal.may_command(&self.tenant, device) {
            return Ok(());
        }
        if self.principal.covers(&self.tenant, device) {
            return Err(may_not_act());
        }
        Err(no_device())
    }

    /// Whether the caller may act on any device.
    pub(super) fn may_act_at_all(&self) -> Result<(), Problem> {
        let everywhere = access::Principal {
            devices: access::Scope::All,
            ..(*self.principal).clone()
        };
        if everywhere.may_command(&self.tenant, "") {
            return Ok(());
        }
        Err(may_not_act())
    }
}

fn may_not_act() -> Problem {
    Problem::forbidden(
        "this credential may not do that: use an admin or system token, or one with the permission \"command\"",
    )
}

pub(super) fn refused(rejection: &Rejection) -> Problem {
    let detail = rejection.error.as_str();
    match rejection.reason {
        Reason::Invalid | Reason::TooLarge | Reason::Refused => Problem::bad_request(detail),
        Reason::Forbidden => Problem::forbidden(detail),
        Reason::RateLimited => Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(1),
        Reason::Retry => Problem::unavailable(detail, 1).with("retry", true),
    }
}
