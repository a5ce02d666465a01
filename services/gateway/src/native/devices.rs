//! `GET /v1/devices/{id}`: one document, as of a write where the caller says which.

use access::http::{Problem, json};
use http::StatusCode;
use journal::cursor::CursorError;
use journal::{Cursor, Topic};
use schemas::json::write_document;
use state::{DeviceKey, Stored};

use super::answer::store_problem;
use super::{Answer, Caller, Native, no_device};

impl Native {
    pub(super) async fn device(&self, caller: &Caller, id: &str, known: &[&str]) -> Answer {
        caller.knows(known)?;
        caller.may_read()?;
        let wait = caller.wait(&self.settings)?;
        let cursor = caller.query.get("min_cursor")?;
        if cursor.is_none() && caller.query.get("wait")?.is_some() {
            return Err(Problem::bad_request("wait: belongs to min_cursor"));
        }
        let cursor = cursor.map(|text| self.written(text)).transpose()?;
        if !caller.principal.may_read(&caller.tenant, id) {
            return Err(no_device());
        }
        if let Some(cursor) = cursor {
            self.wait_for(caller, id, &cursor, wait).await?;
        }
        let stored = self.stored(caller, id).await?.ok_or_else(no_device)?;
        let mut text = Vec::with_capacity(1_024);
        write_document(&stored.document, &mut text);
        Ok(json(StatusCode::OK, text))
    }

    pub(super) async fn stored(&self, caller: &Caller, id: &str) -> Result<Option<Stored>, Problem> {
        let key = DeviceKey {
            tenant: caller.tenant.clone(),
            device: id.into(),
        };
        let keys = [(self.partition(&caller.tenant, id), key)];
        let mut found = self
            .store
            .documents
            .get(&keys)
            .await
            .map_err(|error| store_problem(&error))?;
        Ok(found.pop().flatten())
    }

    /// The cursor that a write was answered with.
    fn written(&self, text: &str) -> Result<Cursor, Problem> {
        let bad = |detail: String| Problem::bad_request(format!("min_cursor: {detail}"));
        let cursor: Cursor = text
            .parse()
            .map_err(|error: CursorError| bad(error.to_string()))?;
        if cursor.topic != Topic::Events {
            return Err(bad("not the cursor of a write, but of view=devices".to_owned()));
        }
        if cursor.epoch != self.journal.epoch {
            return Err(bad("of another log: this one was made anew since".to_owned()));
        }
        Ok(cursor)
    }

    async fn wait_for(
        &self,
        caller: &Caller,
        id: &str,
        cursor: &Cursor,
        wait: std::time::Duration,
    ) -> Result<(), Problem> {
        let partition = self.partition(&caller.tenant, id);
        // The write did not touch the device's partition: there is nothing to wait for.
        let Some(source) = cursor.position(partition) else {
            return Ok(());
        };
        match tokio::time::timeout(wait, self.applied.reached(partition, source)).await {
            Ok(reached) => reached.map_err(|error| store_problem(&error)),
            Err(_) => Err(Problem::new(
                StatusCode::GATEWAY_TIMEOUT,
                format!("the write is durable, but not yet applied after {wait:?}; ask again"),
            )),
        }
    }
}
