//! A table that goes into a row or an artifact once, whatever number of clones there is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Table, refused};
use crate::error::Result;

/// A table of which only one clone is taken.
#[derive(Clone, Debug)]
pub(crate) struct SharedTable(Arc<Mutex<Option<Box<Table>>>>);

impl SharedTable {
    pub(crate) fn new(table: Table) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::new(table)))))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<Table>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table, unless it was taken already.
    pub(crate) fn take(&self, name: &str) -> Result<Table> {
        let table = self.lock().take().map(|table| *table);
        table.ok_or_else(|| {
            refused(format!(
                "the table under {name:?} was logged or added already, by a clone of this value: make \
                 another table, of the same rows"
            ))
        })
    }

    /// Gives it back, where what was to take it is refused.
    pub(crate) fn put_back(&self, table: Table) {
        *self.lock() = Some(Box::new(table));
    }
}
