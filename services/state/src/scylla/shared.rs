//! What all nodes share besides documents: the layout, which build of the tables serves, secrets.

use ::scylla::value::Row;
use schemas::Micros;
use schemas::control::Layout;

use super::Cql;
use crate::StoreError;

/// The columns of table `layout`, but for its name.
type LayoutRow = (i32, i64, i64, i32, i32, i32, i32, bool);

const LAYOUT_COLUMNS: &str = "generation, created_at, epoch, partitions, default_spread, fold_version, \
                              document_bytes_max, registration_required";

impl Cql {
    /// The layout that the tables were made for; `None` before `migrate` has written one.
    ///
    /// # Errors
    /// When the servers do not answer.
    pub async fn layout(&self) -> Result<Option<Layout>, StoreError> {
        if !self.link.has_table("layout").await? {
            return Ok(None);
        }
        let select = self
            .link
            .prepare(&format!(
                "SELECT {LAYOUT_COLUMNS} FROM layout WHERE name = 'current'"
            ))
            .await?;
        let rows: Vec<LayoutRow> = self.link.rows(&select, &()).await?;
        Ok(rows.into_iter().next().map(read_layout))
    }

    /// Writes `layout`, unless one of the same or a later generation stands there. Answers with the
    /// one that stands.
    ///
    /// # Errors
    /// When the servers do not answer.
    pub async fn write_layout(&self, layout: &Layout) -> Result<Layout, StoreError> {
        let row = (
            layout.generation.cast_signed(),
            layout.created_at,
            layout.epoch.cast_signed(),
            layout.partitions.cast_signed(),
            layout.default_spread.cast_signed(),
            layout.fold_version.cast_signed(),
            layout.document_bytes_max.cast_signed(),
            layout.registration_required,
        );
        let insert = format!(
            "INSERT INTO layout (name, {LAYOUT_COLUMNS}) VALUES ('current', ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS"
        );
        if !self.decide(&insert, &row).await? {
            let update = "UPDATE layout SET generation = ?, created_at = ?, epoch = ?, partitions = ?, \
                          default_spread = ?, fold_version = ?, document_bytes_max = ?, registration_required = ? \
                          WHERE name = 'current' IF generation < ?";
            let (generation, created_at, epoch, partitions, spread, fold, bytes, registration) = row;
            let row = (
                generation,
                created_at,
                epoch,
                partitions,
                spread,
                fold,
                bytes,
                registration,
                generation,
            );
            self.decide(update, &row).await?;
        }
        let stands = self.layout().await?;
        stands.ok_or_else(|| StoreError::Corrupt {
            reason: "the layout row is gone right after its write".to_owned(),
        })
    }

    /// The build of a layout's tables that serves.
    ///
    /// # Errors
    /// When the tables are missing or the servers do not answer.
    pub async fn serving(&self, layout_generation: u32) -> Result<u16, StoreError> {
        let select = self
            .link
            .prepare("SELECT build FROM serving WHERE layout_generation = ?")
            .await?;
        let rows: Vec<(i32,)> = self
            .link
            .rows(&select, &(layout_generation.cast_signed(),))
            .await?;
        Ok(rows
            .first()
            .and_then(|(build,)| u16::try_from(*build).ok())
            .unwrap_or(0))
    }

    /// Since when that build serves; `None`: from the beginning.
    ///
    /// # Errors
    /// When the tables are missing or the servers do not answer.
    pub async fn serving_since(&self, layout_generation: u32) -> Result<Option<Micros>, StoreError> {
        let select = self
            .link
            .prepare("SELECT WRITETIME(build) FROM serving WHERE layout_generation = ?")
            .await?;
        let rows: Vec<(i64,)> = self
            .link
            .rows(&select, &(layout_generation.cast_signed(),))
            .await?;
        Ok(rows.first().map(|(micros,)| *micros))
    }

    /// Lets `build` serve from now on: stores opened after this use it.
    ///
    /// # Errors
    /// When the tables are missing or the servers do not answer.
    pub async fn set_serving(&self, layout_generation: u32, build: u16) -> Result<(), StoreError> {
        let insert = self
            .link
            .prepare("INSERT INTO serving (layout_generation, build) VALUES (?, ?)")
            .await?;
        self.link
            .execute(&insert, &(layout_generation.cast_signed(), i32::from(build)))
            .await
    }

    /// The secret of that name.
    ///
    /// # Errors
    /// When the tables are missing or the servers do not answer.
    pub async fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let select = self
            .link
            .prepare("SELECT value FROM secrets WHERE name = ?")
            .await?;
        let rows: Vec<(Vec<u8>,)> = self.link.rows(&select, &(name,)).await?;
        Ok(rows.into_iter().next().map(|(value,)| value))
    }

    /// Keeps `value` under `name` unless there is one. Answers with the one that stands, so that all
    /// nodes use the same, whichever came first.
    ///
    /// # Errors
    /// When the tables are missing or the servers do not answer.
    pub async fn put_secret_if_absent(&self, name: &str, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.decide(
            "INSERT INTO secrets (name, value) VALUES (?, ?) IF NOT EXISTS",
            &(name, value),
        )
        .await?;
        let stands = self.secret(name).await?;
        stands.ok_or_else(|| StoreError::Corrupt {
            reason: format!("secret {name} is gone right after its write"),
        })
    }

    /// Runs a lightweight transaction; whether it was applied. Servers differ in the columns that
    /// follow the first one, so those are left alone.
    pub(super) async fn decide(
        &self,
        text: &str,
        values: &(impl ::scylla::serialize::row::SerializeRow + Sync),
    ) -> Result<bool, StoreError> {
        let statement = self.link.prepare(text).await?;
        let rows: Vec<Row> = self.link.rows(&statement, values).await?;
        let first = rows
            .first()
            .and_then(|row| row.columns.first())
            .and_then(Option::as_ref);
        Ok(first
            .and_then(::scylla::value::CqlValue::as_boolean)
            .unwrap_or(false))
    }
}

fn read_layout(row: LayoutRow) -> Layout {
    let (generation, created_at, epoch, partitions, spread, fold_version, bytes, registration_required) = row;
    Layout {
        generation: generation.cast_unsigned(),
        created_at,
        epoch: epoch.cast_unsigned(),
        partitions: partitions.cast_unsigned(),
        default_spread: spread.cast_unsigned(),
        fold_version: fold_version.cast_unsigned(),
        document_bytes_max: bytes.cast_unsigned(),
        registration_required,
    }
}
