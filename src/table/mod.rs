//! [`Table`]: rows of values and pictures, which W&B shows side by side.

mod cell;
mod reader;
mod rows;
mod shared;

use std::sync::Arc;

pub use cell::{Cell, IntoRow};
pub use reader::{TableReader, TableRows};

use crate::artifact::workshop::Undone;
use crate::artifact::{Draft, Entry, Files};
use crate::error::{Error, Result, beginning, counted};
use crate::image::Seen;
use crate::image::json::artifact::with_suffix;
use crate::image::json::table::{TABLE_FILE, ValueType};
use crate::memory::Load;
use cell::Misfit;
use rows::Rows;
pub(crate) use rows::RunFile;
pub(crate) use shared::SharedTable;

/// The most rows of a table, as in the Python SDK.
pub(crate) const MAX_ROWS: u64 = 200_000;
/// The most columns.
const MAX_COLUMNS: usize = 10_000;

/// Rows of numbers, texts, truth values and pictures with their masks and boxes, under named
/// columns: the way to look at predictions in W&B. `wandb.Table` in Python.
///
/// It is filled first and then logged under a key, as a picture is; a table that was logged takes
/// no more rows. Its rows stay in the order in which they were added: sort what is to stand first,
/// such as the worst predictions, before [`add_row`](Self::add_row). W&B gets it twice, as from the
/// Python SDK: as an artifact of type `run_table`, with its pictures, and as a file of the run, of at
/// most 10,000 rows, that shows none.
///
/// One table goes into a row of the run or into an [artifact](crate::Artifact::add), once. To have
/// it in both, fill two with the same rows; a clone of a picture is cheap:
///
/// ```
/// use wandb_image::{Artifact, Image, Mode, Pixels, Row, Table};
/// # let sink = wandb_image::sink::MemorySink::new();
/// # let run = wandb_image::init().start_on(sink)?;
///
/// let mut tables = [Table::new(["picture", "truth"])?, Table::new(["picture", "truth"])?];
/// for truth in 0..3_u8 {
///     let picture = Image::from(Pixels::new(1, 1, Mode::L, vec![truth])?);
///     tables.iter_mut().try_for_each(|table| table.add_row((&picture, truth)))?;
/// }
/// let [of_run, of_artifact] = tables;
/// run.log(Row::new().with("truths", of_run))?;
/// let mut data = Artifact::new("truths", "dataset")?;
/// data.add(of_artifact, "truths")?;
/// run.log_artifact(data)?;
/// run.finish()?;
/// # Ok::<(), wandb_image::Error>(())
/// ```
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
/// made, which is at most 256 MiB for all tables and artifacts of the process together, and
/// [`add_row`](Self::add_row) waits beyond that. A picture that can't be made is left out of its
/// row, counted, and told when the table is logged.
///
/// # Where it is refused
///
/// A row of the run that is refused takes nothing: a clone of the row, or of the
/// [`Value`](crate::Value), has the table still, and can be logged instead.
///
/// ```
/// use wandb_image::{Row, Table};
/// # let sink = wandb_image::sink::MemorySink::new();
/// # let run = wandb_image::init().start_on(sink)?;
///
/// run.log_at(7, [("loss", 0.5)])?;
/// let mut table = Table::new(["truth"])?;
/// table.add_row((1,))?;
/// let row = Row::new().with("predictions", table);
/// if run.log_at(3, row.clone()).is_err() {
///     run.log_at(7, row)?;
/// }
/// run.finish()?;
/// # Ok::<(), wandb_image::Error>(())
/// ```
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
    /// others, and beyond 200,000 rows; [`Error::NoClasses`] for an image with a mask of a file and
    /// without the name of any class (ids of other layers are called `class_3` and so on where they
    /// have none, and a layer without boxes needs none); and what is known to be wrong with a picture
    /// without making it. The table is as before then. Also the failure of an earlier row that
    /// couldn't be written. On a thread of a run's own, which can't wait (in a tensor that is being
    /// read, for example), [`Error::Value`] where there is no room.
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
        let (cells, types) = self.checked(cells)?;
        let mut load = Load::default();
        cells.iter().for_each(|cell| cell.add_to(&mut load));
        let (row, files, written) = (
            self.rows,
            Arc::clone(self.draft.files()),
            Arc::clone(&self.written),
        );
        let job = move |room| written.take(row, cells, &files, room);
        self.draft.jobs().give(load, job)?;
        self.types = types;
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
                "row {} of the table has {}, and the table has {}, {}: give a value for each, or None",
                self.rows,
                counted(cells as u64, "value"),
                counted(self.columns.len() as u64, "column"),
                some_of(&self.columns)
            )));
        }
        match self.rows {
            ..MAX_ROWS => Ok(()),
            _ => Err(refused(format!(
                "the table has {MAX_ROWS} rows, the most that W&B takes of one: log it, and go on in \
                 another"
            ))),
        }
    }

    /// The cells, once all of them fit their columns, and what the columns hold with them.
    fn checked(&self, cells: Vec<Cell>) -> Result<(Vec<Cell>, Vec<Option<ValueType>>)> {
        let mut types = Vec::with_capacity(cells.len());
        let mut checked = Vec::with_capacity(cells.len());
        for ((cell, name), known) in cells.into_iter().zip(&self.columns).zip(&self.types) {
            let cell = cell.checked(name)?;
            let kind = cell.type_in(known.as_ref());
            types.push(kind.map_err(|misfit| self.misfit(name, misfit))?);
            checked.push(cell);
        }
        Ok((checked, types))
    }

    fn misfit(&self, column: &str, misfit: Misfit) -> Error {
        let reason = match misfit {
            Misfit::NoCell(given) => format!(
                "{given}, and a cell holds a number, a text, a truth value, a picture, a list of \
                 one of the first three, or None: give each value a column of its own, or its JSON \
                 as a text"
            ),
            Misfit::Other { given, expected } => format!(
                "{given}, where the rows before have {expected}: give all values of a column as \
                 one kind, or None"
            ),
        };
        refused(format!(
            "row {} of the table, column {column:?}: {reason}",
            self.rows
        ))
    }

    /// Hands the table over in the background, under this name in an artifact, when all its rows
    /// are written; with the file of a run beside it.
    #[must_use]
    pub(crate) fn finish(
        self,
        name: &str,
        take: impl FnOnce(Result<MadeTable>) + Send + 'static,
    ) -> Option<Undone> {
        let name = with_suffix(name, TABLE_FILE);
        let (draft, filled) = self.filled();
        draft.finish(move |files| filled.in_run(files, &name), take)
    }

    /// Adds the table to an artifact, under a path that was reserved for it, in the background when
    /// all its rows are written.
    pub(crate) fn add_to(self, all: &Draft, name: String) -> Result<()> {
        let files_of_all = Arc::clone(all.files());
        let (draft, filled) = self.filled();
        draft.finish_in(all, move |files| {
            filled.in_artifact(files, &name, &files_of_all)
        })
    }

    fn filled(self) -> (Draft, Filled) {
        let filled = Filled {
            columns: self.columns,
            types: self.types,
            rows: self.rows,
            written: self.written,
        };
        (self.draft, filled)
    }
}

/// A table that takes no more rows.
struct Filled {
    columns: Vec<String>,
    types: Vec<Option<ValueType>>,
    rows: u64,
    written: Arc<Rows>,
}

impl Filled {
    fn assemble(&self, files: &Files, name: &str) -> Result<()> {
        self.written
            .assemble(files, name, &self.columns, &self.types, self.rows)
    }

    /// All of it, once its rows are written.
    fn in_run(self, files: &Files, name: &str) -> Result<MadeTable> {
        self.assemble(files, name)?;
        let run_file = self.written.run_file(files, &self.columns)?;
        Ok(MadeTable {
            entries: files.finished().entries,
            run_file,
            columns: self.columns.len() as u64,
            rows: self.rows,
            lost: self.written.lost(),
            seen: self.written.seen(),
        })
    }

    /// The same for an artifact, of which it is a part with all its files.
    fn in_artifact(self, files: &Files, name: &str, all: &Files) -> Result<()> {
        self.assemble(files, name)?;
        if let Some(first) = self.written.lost().first {
            return Err(Error::Shared(first));
        }
        all.saw(&self.written.seen());
        let mut entries = files.finished().entries.into_iter();
        entries.try_for_each(|(path, entry)| all.put(&path, entry))
    }
}

fn check_columns(columns: &[String]) -> Result<()> {
    match columns.len() {
        0 => {
            return Err(refused(
                "the table has no columns: name at least one".into(),
            ));
        }
        1..=MAX_COLUMNS => {}
        _ => {
            return Err(refused(format!(
                "the table has over {MAX_COLUMNS} columns: leave some out, or put them into lists"
            )));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    match columns.iter().find(|name| !seen.insert(*name)) {
        Some(name) => Err(refused(format!(
            "the table has two columns called {name:?}: rename one of them"
        ))),
        None => Ok(()),
    }
}

/// The first names of columns.
fn some_of(columns: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = columns.iter().take(SHOWN);
    let shown = shown.map(|name| format!("{:?}", beginning(name)));
    let more = (columns.len() > SHOWN).then(|| "…".into());
    shown.chain(more).collect::<Vec<_>>().join(", ")
}

fn refused(reason: String) -> Error {
    Error::Table { reason }
}
