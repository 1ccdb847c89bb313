//! Artifacts and tables on their way.

/// The number of a table on its way.
pub(crate) type TableId = u64;
