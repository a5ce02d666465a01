//! Brings the tables up to date, one runner at a time.

use std::collections::HashMap;
use std::time::Duration;

use migrations::{Migration, PlanError};

use super::{Cql, session};
use crate::StoreError;

/// A runner that dies is waited for so long.
const LOCK_SECONDS: i32 = 60;
/// A second runner asks again after so long.
const LOCK_POLL: Duration = Duration::from_millis(500);
/// A second runner gives up after so long.
const LOCK_WAIT: Duration = Duration::from_secs(180);

/// One change of the schema takes at most so long, the servers' agreement not counted.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(20);

/// What [`Cql::migrate`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Files applied, in order; empty when there was nothing to do.
    pub applied: Vec<String>,
}

/// Why the tables are not up to date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MigrateError {
    /// What was applied is no beginning of what this program knows.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The tables lack what this program needs.
    #[error("the keyspace {keyspace} lacks {}: run `wakeline migrate`", .files.join(", "))]
    Pending {
        /// The keyspace.
        keyspace: String,
        /// The files that are not applied.
        files: Vec<String>,
    },
    /// One statement failed. Run it again once the cause is gone: it goes on where it stopped.
    #[error("migration {file} failed at `{statement}`: {reason}")]
    Statement {
        /// The file.
        file: String,
        /// The statement's beginning.
        statement: String,
        /// What the server said.
        reason: String,
    },
    /// Another runner holds the lock.
    #[error(
        "another `wakeline migrate` holds the lock of keyspace {keyspace}: wait for it, or a minute if it died"
    )]
    Locked {
        /// The keyspace.
        keyspace: String,
    },
    /// The servers do not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Cql {
    /// Creates the keyspace where it is missing, and applies what the tables lack, each file once.
    ///
    /// # Errors
    /// What stands in the way; nothing is half-recorded: a file counts as applied when all of it was.
    pub async fn migrate(&self) -> Result<Migrated, MigrateError> {
        self.create_bookkeeping().await?;
        let owner = session(&self.link).session_id().to_string();
        self.lock(&owner).await?;
        let done = self.apply_all(&owner).await;
        let unlock = "DELETE FROM migration_lock WHERE name = 'migrate' IF owner = ?";
        if let Err(error) = self.decide(unlock, &(&owner,)).await {
            tracing::warn!(%error, "the migration lock was not released; it expires within a minute");
        }
        done
    }

    /// Whether the tables are those of this program.
    ///
    /// # Errors
    /// What is missing, altered or newer, and what to do.
    pub async fn check_migrations(&self) -> Result<(), MigrateError> {
        let pending = migrations::plan(&self.applied_migrations().await?)?;
        if pending.is_empty() {
            return Ok(());
        }
        let files = pending.into_iter().map(Migration::file).collect();
        Err(MigrateError::Pending {
            keyspace: self.settings.keyspace.clone(),
            files,
        })
    }

    /// The least number of copies of a row in a data centre, as the keyspace says; `None` where it is
    /// missing or its strategy has no such number.
    ///
    /// # Errors
    /// When the servers do not answer.
    pub async fn replicas(&self) -> Result<Option<u32>, StoreError> {
        let select = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
        let select = self.link.prepare_of_system(select).await?;
        let rows: Vec<(HashMap<String, String>,)> =
            self.link.rows(&select, &(&self.settings.keyspace,)).await?;
        let counts = rows
            .iter()
            .flat_map(|(replication,)| replication.values())
            .filter_map(|text| text.parse().ok());
        Ok(counts.min())
    }

    async fn create_bookkeeping(&self) -> Result<(), MigrateError> {
        let (keyspace, replication) = (&self.settings.keyspace, &self.settings.replication);
        self.change_schema(
            "keyspace",
            &format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}"),
        )
        .await?;
        self.link.use_keyspace().await?;
        for (table, columns) in [
            (
                "migrations",
                "number int PRIMARY KEY, name text, checksum text, applied_at bigint",
            ),
            ("migration_lock", "name text PRIMARY KEY, owner text"),
        ] {
            self.change_schema(table, &format!("CREATE TABLE IF NOT EXISTS {table} ({columns})"))
                .await?;
        }
        Ok(())
    }

    async fn lock(&self, owner: &str) -> Result<(), MigrateError> {
        let insert = format!(
            "INSERT INTO migration_lock (name, owner) VALUES ('migrate', ?) IF NOT EXISTS USING TTL {LOCK_SECONDS}"
        );
        let deadline = tokio::time::Instant::now() + LOCK_WAIT;
        while !self.decide(&insert, &(owner,)).await? {
            if tokio::time::Instant::now() >= deadline {
                return Err(MigrateError::Locked {
                    keyspace: self.settings.keyspace.clone(),
                });
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
        Ok(())
    }

    /// Holds the lock for another while; fails when another runner has taken it.
    async fn keep_lock(&self, owner: &str) -> Result<(), MigrateError> {
        let update = format!(
            "UPDATE migration_lock USING TTL {LOCK_SECONDS} SET owner = ? WHERE name = 'migrate' IF owner = ?"
        );
        if self.decide(&update, &(owner, owner)).await? {
            Ok(())
        } else {
            Err(MigrateError::Locked {
                keyspace: self.settings.keyspace.clone(),
            })
        }
    }

    async fn apply_all(&self, owner: &str) -> Result<Migrated, MigrateError> {
        let mut migrated = Migrated::default();
        for migration in migrations::plan(&self.applied_migrations().await?)? {
            for statement in migration.statements() {
                self.keep_lock(owner).await?;
                self.change_schema(&migration.file(), &statement).await?;
            }
            let record = "INSERT INTO migrations (number, name, checksum, applied_at) VALUES (?, ?, ?, ?)";
            let record = self.link.prepare(record).await?;
            let number = migration.number.cast_signed();
            let values = (number, migration.name, &migration.checksum, (self.clock)());
            self.link.execute(&record, &values).await?;
            migrated.applied.push(migration.file());
        }
        Ok(migrated)
    }

    async fn applied_migrations(&self) -> Result<Vec<(u32, String)>, StoreError> {
        if !self.link.has_table("migrations").await? {
            return Ok(Vec::new());
        }
        let select = self
            .link
            .prepare("SELECT number, checksum FROM migrations")
            .await?;
        let rows: Vec<(i32, String)> = self.link.rows(&select, &()).await?;
        Ok(rows
            .into_iter()
            .map(|(number, checksum)| (number.cast_unsigned(), checksum))
            .collect())
    }

    /// Runs one statement over the schema and waits until the servers agree on it.
    async fn change_schema(&self, file: &str, statement: &str) -> Result<(), MigrateError> {
        let failed = |reason: String| MigrateError::Statement {
            file: file.to_owned(),
            statement: statement.chars().take(80).collect(),
            reason,
        };
        let mut query = ::scylla::statement::Statement::new(statement);
        query.set_request_timeout(Some(SCHEMA_TIMEOUT));
        query.set_is_idempotent(true);
        let mut attempt = 1;
        loop {
            // Returns once the servers agree. Every statement can be repeated, and must be: agreement
            // also fails when a server's connection was just being made.
            match Box::pin(session(&self.link).query_unpaged(query.clone(), ())).await {
                Ok(_) => return Ok(()),
                Err(error) if attempt >= self.settings.attempts_max => return Err(failed(error.to_string())),
                Err(error) => {
                    tracing::info!(%error, file, attempt, "a change of the schema failed; trying again");
                    attempt += 1;
                }
            }
        }
    }
}
