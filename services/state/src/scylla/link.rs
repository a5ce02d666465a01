//! The connection as the ports use it: prepared statements, bounded concurrency, bounded retries.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::scylla::client::session::Session;
use ::scylla::deserialize::row::DeserializeRow;
use ::scylla::errors::{ExecutionError, PrepareError};
use ::scylla::response::query_result::QueryResult;
use ::scylla::response::{PagingState, PagingStateResponse};
use ::scylla::serialize::row::SerializeRow;
use ::scylla::statement::Statement;
use ::scylla::statement::prepared::PreparedStatement;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::Semaphore;

use super::Settings;
use crate::StoreError;

/// Pause before the second attempt of a request; it doubles from one to the next.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Rows that one answer of a server holds at most: documents may have 64 KiB each.
const ROWS_PER_ANSWER_MAX: i32 = 128;

/// A session with its limits.
pub(super) struct Link {
    session: Session,
    in_flight: Semaphore,
    attempts_max: u32,
    keyspace: String,
    /// Whether statements can leave the keyspace out: false until it exists.
    in_keyspace: AtomicBool,
}

impl Link {
    pub(super) async fn new(session: Session, settings: &Settings) -> Result<Self, StoreError> {
        let link = Self {
            session,
            in_flight: Semaphore::new(settings.requests_in_flight_max),
            attempts_max: settings.attempts_max,
            keyspace: settings.keyspace.clone(),
            in_keyspace: AtomicBool::new(false),
        };
        link.enter_keyspace().await?;
        Ok(link)
    }

    /// Speaks of the keyspace from now on, if it exists; another process may have just made it.
    async fn enter_keyspace(&self) -> Result<bool, StoreError> {
        if !self.in_keyspace.load(Ordering::Acquire) && self.has_keyspace().await? {
            self.use_keyspace().await?;
        }
        Ok(self.in_keyspace.load(Ordering::Acquire))
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Speaks of the keyspace from now on. One that was created a moment ago may not be known to every
    /// server yet, so this too is tried several times.
    pub(super) async fn use_keyspace(&self) -> Result<(), StoreError> {
        let mut pause = RETRY_PAUSE;
        let mut attempt = 1;
        while let Err(error) = self.session.use_keyspace(&self.keyspace, false).await {
            if attempt >= self.attempts_max {
                return Err(unavailable(error));
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
            pause *= 2;
        }
        self.in_keyspace.store(true, Ordering::Release);
        Ok(())
    }

    async fn has_keyspace(&self) -> Result<bool, StoreError> {
        let select = self
            .prepare_of_system("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?")
            .await?;
        Ok(!self
            .rows::<(String,)>(&select, &(&self.keyspace,))
            .await?
            .is_empty())
    }

    /// Whether the keyspace has that table.
    pub(super) async fn has_table(&self, table: &str) -> Result<bool, StoreError> {
        let select = self
            .prepare_of_system(
                "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?",
            )
            .await?;
        Ok(!self
            .rows::<(String,)>(&select, &(&self.keyspace, table))
            .await?
            .is_empty())
    }

    /// Prepares a statement over tables of the keyspace that may be sent twice.
    pub(super) async fn prepare(&self, text: &str) -> Result<PreparedStatement, StoreError> {
        if self.enter_keyspace().await? {
            return self.prepare_of_system(text).await;
        }
        Err(StoreError::Unavailable {
            reason: format!(
                "the keyspace {} does not exist; run `wakeline migrate`",
                self.keyspace
            ),
        })
    }

    /// Prepares a statement that names its keyspace, and that may be sent twice.
    pub(super) async fn prepare_of_system(&self, text: &str) -> Result<PreparedStatement, StoreError> {
        let mut prepared = Box::pin(self.session.prepare(Statement::new(text)))
            .await
            .map_err(not_prepared)?;
        prepared.set_is_idempotent(true);
        prepared.set_page_size(ROWS_PER_ANSWER_MAX);
        Ok(prepared)
    }

    /// Sends a statement that answers with nothing.
    pub(super) async fn execute(
        &self,
        statement: &PreparedStatement,
        values: &(impl SerializeRow + Sync),
    ) -> Result<(), StoreError> {
        self.attempt(statement, values, PagingState::start()).await?;
        Ok(())
    }

    /// All rows that a statement answers with; its own `LIMIT` bounds them.
    pub(super) async fn rows<R>(
        &self,
        statement: &PreparedStatement,
        values: &(impl SerializeRow + Sync),
    ) -> Result<Vec<R>, StoreError>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let mut found = Vec::new();
        let mut state = PagingState::start();
        loop {
            let (answer, next) = self.attempt(statement, values, state).await?;
            let rows = answer.into_rows_result().map_err(corrupt)?;
            for row in rows.rows::<R>().map_err(corrupt)? {
                found.push(row.map_err(corrupt)?);
            }
            match next {
                PagingStateResponse::HasMorePages { state: more } => state = more,
                PagingStateResponse::NoMorePages => return Ok(found),
            }
        }
    }

    async fn attempt(
        &self,
        statement: &PreparedStatement,
        values: &(impl SerializeRow + Sync),
        state: PagingState,
    ) -> Result<(QueryResult, PagingStateResponse), StoreError> {
        let mut pause = RETRY_PAUSE;
        let mut attempt = 1;
        loop {
            let answer = {
                let _permit = self.in_flight.acquire().await.map_err(unavailable)?;
                Box::pin(self.session.execute_single_page(statement, values, state.clone())).await
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) if attempt >= self.attempts_max || is_ours(&error) => {
                    return Err(unavailable(error));
                }
                Err(error) => {
                    tracing::debug!(%error, attempt, "a CQL request failed; trying again");
                    tokio::time::sleep(pause).await;
                    attempt += 1;
                    pause *= 2;
                }
            }
        }
    }
}

/// Whether the statement or its values are at fault, so that trying again cannot help.
fn is_ours(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::BadQuery(_) | ExecutionError::PrepareError(_)
    )
}

/// Awaits `work`, at most `limit` at once; answers in order, or with the first error.
pub(super) async fn together<T>(
    limit: usize,
    work: Vec<BoxFuture<'_, Result<T, StoreError>>>,
) -> Result<Vec<T>, StoreError> {
    stream::iter(work).buffered(limit).try_collect().await
}

fn not_prepared(error: PrepareError) -> StoreError {
    StoreError::Unavailable {
        reason: format!("{error}; if a table or column is missing, run `wakeline migrate`"),
    }
}

pub(super) fn unavailable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable {
        reason: error.to_string(),
    }
}

pub(super) fn corrupt(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt {
        reason: error.to_string(),
    }
}
