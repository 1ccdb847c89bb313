//! [`Table`]: rows of values and pictures, which W&B shows side by side.

mod cell;
mod reader;
mod rows;

use std::sync::Arc;

pub use cell::{Cell, IntoRow};
pub use reader::{TableReader, TableRows};

use crate::artifact::workshop::Room;
use crate::artifact::{Draft, Entry, Files, logical};
use crate::error::{Error, Result};
use crate::image::Noticed;
use crate::image::json::artifact::with_suffix;
use crate::image::json::table::{TABLE_FILE, ValueType};
use rows::Rows;
pub(crate) use rows::RunFile;

/// The most rows of a table, as in the Python SDK.
pub(crate) const MAX_ROWS: u64 = 200_000;
/// The most columns.
const MAX_COLUMNS: usize = 10_000;

/// Rows of numbers, texts, truth values and pictures with their masks and boxes, under named
/// columns: the way to look at predictions in W&B. `wandb.Table` in Python.
///
/// It is filled first and then logged under a key, as a picture is; a table that was logged takes
/// no more rows. W&B gets it twice, as from the Python SDK: as an artifact of type `run_table`,
/// with its pictures, and as a file of the run, of at most 10,000 rows, that shows none.
///
/// # Columns
///
/// What a column holds follows from its first value that is there: numbers, texts, truth values,
/// pictures, or lists of one of the first three. `None` goes in every column, and NaN counts as
/// none.
///
/// # What waits for what
///
/// Pictures are made in the background, on all cores, and each row is written to a temporary file
/// as soon as its pictures are, in order: so a table takes no more memory than what waits to be
/// made, which is at most 256 MiB, and [`add_row`](Self::add_row) waits beyond that. A picture that
/// can't be made is left out of its row, counted, and told when the table is logged.
///
/// The temporary files lie in `wandb/` of `WANDB_DIR` or of the current directory, where the run is
/// too unless [`dir`](crate::RunBuilder::dir) says otherwise; where that can't be written, in the
/// system's temporary folder, which must have room for them, and from which they are copied where it
/// is another disk. They go with the table.
///
/// ```
/// use wandb_image::{HostTensor, IntoWandbImage, Row, Table};
/// # let dir = tempfile::tempdir()?;
/// # let run = wandb_image::init().dir(dir.path()).start()?;
///
/// let mut table = Table::new(["picture", "truth", "prediction", "score"])?;
/// for digit in 0..3_u8 {
///     let picture = HostTensor::new([8, 8], vec![digit; 64])?.to_wandb_image()?;
///     table.add_row((picture, digit, "seven", Some(0.5)))?;
/// }
/// run.log(Row::new().with("predictions", table))?;
/// run.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a table is nothing until it is logged"]
pub struct Table {
    columns: Vec<String>,
    types: Vec<Option<ValueType>>,
    rows: u64,
    draft: Draft,
    written: Arc<Rows>,
}

/// A table that is written: nothing more can fail but the disk.
#[derive(Debug)]
pub(crate) struct MadeTable {
    pub(crate) entries: std::collections::BTreeMap<String, Entry>,
    pub(crate) run_file: RunFile,
    pub(crate) columns: u64,
    pub(crate) rows: u64,
    pub(crate) lost: Lost,
    pub(crate) seen: Seen,
}

/// Pictures that couldn't be made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lost {
    pub(crate) pictures: u64,
    pub(crate) first: Option<Arc<Error>>,
}

/// What was noticed of pictures that could be made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) images: u64,
    /// Of those that are worth a word, each with its format.
    pub(crate) noticed: Vec<(Noticed, String)>,
}

impl Table {
    /// A table without rows.
    ///
    /// # Errors
    ///
    /// [`Error::Table`] for no columns or over 10,000, and for two of the same name.
    ///
    /// ```
    /// let error = wandb_image::Table::new(["truth", "truth"]).unwrap_err();
    /// assert!(error.to_string().contains("two columns"));
    /// ```
    pub fn new<N: Into<String>>(columns: impl IntoIterator<Item = N>) -> Result<Self> {
        let columns: Vec<String> = columns
            .into_iter()
            .take(MAX_COLUMNS + 1)
            .map(Into::into)
            .collect();
        check_columns(&columns)?;
        let draft = Draft::default();
        Ok(Self {
            types: vec![None; columns.len()],
            rows: 0,
            written: Arc::new(Rows::new(columns.len())),
            draft,
            columns,
        })
    }

    /// Adds a row: a tuple, or a list of [`Cell`]s, of a value for each column.
    ///
    /// # Errors
    ///
    /// [`Error::Table`] for a row of another length, for a value of another kind than the column's
    /// others, and beyond 200,000 rows; [`Error::NoClasses`] for an image whose layers have no
    /// classes; and what is known to be wrong with a picture without making it. The table is as
    /// before then. Also the failure of an earlier row that couldn't be written.
    ///
    /// ```
    /// # use wandb_image::Table;
    /// let mut table = Table::new(["id", "score"])?;
    /// table.add_row((1, 0.5))?;
    /// table.add_row((2, None::<f64>))?;
    /// let error = table.add_row((3, "high")).unwrap_err().to_string();
    /// assert!(error.contains("\"score\"") && error.contains("number"), "{error}");
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    #[doc(alias = "add_data")]
    pub fn add_row(&mut self, row: impl IntoRow) -> Result<()> {
        let cells = row.into_cells();
        self.check_room(cells.len())?;
        let cells = self.checked(cells)?;
        let held = cells.iter().map(Cell::held).sum();
        let (row, files, written) = (
            self.rows,
            Arc::clone(self.draft.files()),
            Arc::clone(&self.written),
        );
        let job = move |room| written.take(row, cells, &files, room);
        self.draft.workshop().give(held, job)?;
        self.rows += 1;
        Ok(())
    }

    /// The names of its columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows as usize
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    fn check_room(&self, cells: usize) -> Result<()> {
        if cells != self.columns.len() {
            return Err(refused(format!(
                "row {} has {cells} values, and the table has {} columns: give a value for each, \
                 or None",
                self.rows,
                self.columns.len()
            )));
        }
        match self.rows {
            ..MAX_ROWS => Ok(()),
            _ => Err(refused(format!(
                "it has {MAX_ROWS} rows, the most that W&B takes of a table: log it, and go on in \
                 another"
            ))),
        }
    }

    /// The cells, once all of them fit their columns.
    fn checked(&mut self, cells: Vec<Cell>) -> Result<Vec<Cell>> {
        let mut types = Vec::with_capacity(cells.len());
        let mut checked = Vec::with_capacity(cells.len());
        for ((cell, name), known) in cells.into_iter().zip(&self.columns).zip(&self.types) {
            let cell = cell.checked(name)?;
            types.push(cell.type_in(known.as_ref()).map_err(|[given, expected]| {
                refused(format!(
                    "row {} has {given} under {name:?}, where the rows before have {expected}: \
                     give all values of a column as one kind, or None",
                    self.rows
                ))
            })?);
            checked.push(cell);
        }
        self.types = types;
        Ok(checked)
    }

    /// Waits until all rows are written, and puts the table under this name into its artifact, with
    /// the file of a run beside it.
    pub(crate) fn finish(self, name: &str) -> Result<MadeTable> {
        self.draft.workshop().settle()?;
        let name = with_suffix(name, TABLE_FILE);
        let files = self.draft.files();
        self.written
            .assemble(files, &name, &self.columns, &self.types, self.rows)?;
        let run_file = self.written.run_file(files, &self.columns)?;
        Ok(MadeTable {
            entries: self.draft.finish()?,
            run_file,
            columns: self.columns.len() as u64,
            rows: self.rows,
            lost: self.written.lost(),
            seen: self.written.seen(),
        })
    }

    /// Adds the table to an artifact, once all of it is written.
    pub(crate) fn add_to(self, draft: &Draft, name: &str) -> Result<()> {
        let name = with_suffix(&logical(name)?, TABLE_FILE);
        draft.reserve(&name)?;
        let files = Arc::clone(draft.files());
        let add = move |_: Room| self.finish_into(&files, &name);
        draft.workshop().give(0, add)
    }

    /// The same for an artifact of more than that.
    fn finish_into(self, all: &Files, name: &str) -> Result<()> {
        let made = self.finish(name)?;
        if let Some(first) = made.lost.first {
            return Err(Error::Shared(first));
        }
        let mut entries = made.entries.into_iter();
        entries.try_for_each(|(path, entry)| all.put(&path, entry))
    }
}

fn check_columns(columns: &[String]) -> Result<()> {
    match columns.len() {
        0 => return Err(refused("it has no columns: name at least one".into())),
        1..=MAX_COLUMNS => {}
        _ => {
            return Err(refused(format!(
                "it has over {MAX_COLUMNS} columns: leave some out, or put them into lists"
            )));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    match columns.iter().find(|name| !seen.insert(*name)) {
        Some(name) => Err(refused(format!(
            "it has two columns called {name:?}: rename one of them"
        ))),
        None => Ok(()),
    }
}

fn refused(reason: String) -> Error {
    Error::Table { reason }
}
