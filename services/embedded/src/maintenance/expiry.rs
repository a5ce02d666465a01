//! The life time of history, of the rows of deleted documents, and of rows of older layouts.
//!
//! Rows of history stand newest first within their device and kind, so one seek finds all that are
//! over. The sweep goes round the tables, some rows at a time; reads hide what is over already.

use journal::Micros;

use super::{Extent, MaintainError, go_on};
use crate::database::Tables;
use crate::engine::Inner;
use crate::keys;
use crate::partition::StoredError;
use crate::store::{history, row};

/// Where the sweep of history goes on.
#[derive(Default)]
pub(super) struct Sweep {
    history: Vec<u8>,
}

impl Sweep {
    /// Goes round once, or some steps. The number of rows removed.
    pub(super) fn pass(
        &mut self,
        inner: &Inner,
        tables: &Tables,
        now: Micros,
        extent: Extent,
    ) -> Result<u64, MaintainError> {
        if extent == Extent::Whole {
            *self = Self::default();
        }
        let mut steps_left = match extent {
            Extent::Whole => usize::MAX,
            Extent::Some => inner.settings.maintenance_steps_max,
        };
        let mut removed = forget_deleted(inner, tables, now, &mut steps_left)?;
        removed += forget_layouts(inner, tables, &mut steps_left)?;
        while steps_left > 0 {
            steps_left -= 1;
            go_on(inner)?;
            let (rows, done) = self.history_step(inner, tables, now)?;
            removed += rows;
            if done {
                break;
            }
        }
        Ok(removed)
    }

    /// Seeks in some of the lists of history. True when the end of the table was reached.
    fn history_step(
        &mut self,
        inner: &Inner,
        tables: &Tables,
        now: Micros,
    ) -> Result<(u64, bool), MaintainError> {
        let Some(oldest) = history::oldest(&inner.settings, now) else {
            return Ok((0, true));
        };
        let rows_max = inner.settings.maintenance_step_rows.max(1);
        let mut batch = tables.database.batch();
        let mut removed = 0;
        for _list in 0..rows_max {
            let Some(guard) = tables.history.range(self.history.clone()..).next() else {
                self.history.clear();
                batch.commit()?;
                return Ok((removed, true));
            };
            let key = guard.key()?;
            let list = history::list_of(&key).to_vec();
            let after = keys::after_prefix(&list);
            let over = history::key_before(&list, oldest);
            let mut left = rows_max.saturating_sub(usize::try_from(removed).unwrap_or(usize::MAX));
            for guard in tables.history.range(over..after.clone()) {
                if left == 0 {
                    batch.commit()?;
                    return Ok((removed, false));
                }
                batch.remove(&tables.history, guard.key()?);
                removed += 1;
                left -= 1;
            }
            self.history = after;
        }
        batch.commit()?;
        Ok((removed, false))
    }
}

/// Forgets documents that were deleted long enough ago.
fn forget_deleted(
    inner: &Inner,
    tables: &Tables,
    now: Micros,
    steps_left: &mut usize,
) -> Result<u64, MaintainError> {
    let memory = i64::try_from(inner.settings.deletion_memory.as_micros()).unwrap_or(i64::MAX);
    let over = row::deletion_key(now.saturating_sub(memory), &[]);
    let mut removed = 0;
    while *steps_left > 0 {
        *steps_left -= 1;
        go_on(inner)?;
        // No document may be written between the look and the removal.
        let _writing = inner.documents.lock();
        let mut batch = tables.database.batch();
        let deletions = tables.state.range(row::DELETIONS.to_vec()..over.clone());
        for guard in deletions.take(inner.settings.maintenance_step_rows.max(1)) {
            let key = guard.key()?;
            let (at, document_key) = row::deletion_of(&key).ok_or(StoredError::Key)?;
            // It may have come back, and even been deleted again.
            let row = tables.state.get(document_key)?;
            if row.is_some_and(|row| row::deleted_at(&row) == Some(at)) {
                batch.remove(&tables.state, document_key);
                removed += 1;
            }
            batch.remove(&tables.state, key.clone());
        }
        if batch.is_empty() {
            break;
        }
        batch.commit()?;
    }
    Ok(removed)
}

/// Forgets the rows of layouts before the present one.
fn forget_layouts(inner: &Inner, tables: &Tables, steps_left: &mut usize) -> Result<u64, MaintainError> {
    let generation = inner.generation();
    let mut removed = 0;
    for kind in row::OF_LAYOUT {
        let older = vec![kind]..row::generation_prefix(kind, generation);
        while *steps_left > 0 {
            *steps_left -= 1;
            go_on(inner)?;
            let mut batch = tables.database.batch();
            for guard in tables
                .state
                .range(older.clone())
                .take(inner.settings.maintenance_step_rows.max(1))
            {
                batch.remove(&tables.state, guard.key()?);
                removed += 1;
            }
            if batch.is_empty() {
                break;
            }
            batch.commit()?;
        }
    }
    Ok(removed)
}
