//! [`TableReader`]: a table of an artifact, read back row by row.

use std::sync::Arc;

use serde_json::Value;

use super::cell::Cell;
use crate::artifact::OpenArtifact;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::image::json::reading::{self, ReadTable};
use crate::value::scan::{self, List};

/// A table of an artifact that was downloaded: [`OpenArtifact::table`].
///
/// The text of the table is in memory, and a row with its pictures is read when the iterator comes
/// to it: so a table of any length takes the memory of its text and of one row, and a row that
/// can't be read doesn't keep the others from being read.
///
/// Cells are numbers, texts, truth values, lists, null, and [images](Cell::image). Other media
/// that the Python SDK puts into tables, such as audio or histograms, and maps are given as the JSON
/// that stands there ([`Cell::to_json`]); a time is the number of milliseconds since 1970 that it
/// is there, and a whole number of over 64 bits is read as a float. Not read are tables whose `log_mode` is `INCREMENTAL`, of which each artifact holds a
/// part, and columns of NumPy's arrays that the SDK has put into a file of their own: for these
/// [`OpenArtifact::table`] is an error.
///
/// ```
/// use wandb_image::Artifact;
/// # let dir = tempfile::tempdir()?;
/// # image::GrayImage::new(3, 2).save(dir.path().join("seven.png"))?;
/// # let json = r#"{"_type": "table", "columns": ["picture", "score"], "data":
/// #     [[{"_type": "image-file", "path": "seven.png", "caption": "seven"}, 0.75], [null, NaN]]}"#;
/// # std::fs::write(dir.path().join("predictions.table.json"), json)?;
///
/// let predictions = Artifact::open(dir.path())?.table("predictions")?;
/// assert_eq!(predictions.columns(), ["picture", "score"]);
/// let mut shown = Vec::new();
/// for row in &predictions {
///     let row = row?;
///     let caption = row[0].image().and_then(|picture| picture.caption_text());
///     shown.push(format!("{caption:?}: {:?}", row[1].as_f64()));
/// }
/// assert_eq!(shown, ["Some(\"seven\"): Some(0.75)", "None: Some(NaN)"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TableReader {
    artifact: OpenArtifact,
    text: String,
    columns: Vec<String>,
    kinds: Vec<Option<String>>,
    rows: List,
}

impl TableReader {
    /// The table of which an artifact holds this JSON: `Table.from_json` in Python.
    ///
    /// # Errors
    ///
    /// [`Error::ArtifactJson`] for a text that is none of a table, or whose rows aren't in it. What
    /// is in the rows is looked at when they are read.
    ///
    /// ```
    /// use wandb_image::{Artifact, TableReader};
    /// # let dir = tempfile::tempdir()?;
    ///
    /// let artifact = Artifact::open(dir.path())?;
    /// let table = r#"{"_type": "table", "columns": ["n"], "data": [[1], [2]]}"#;
    /// assert_eq!(TableReader::from_json(table, &artifact)?.len(), 2);
    /// let error = TableReader::from_json(&table[..50], &artifact).unwrap_err();
    /// assert!(error.to_string().contains("it ends in the middle"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_json(json: impl Into<Vec<u8>>, artifact: &OpenArtifact) -> Result<Self> {
        let text = scan::utf8(json.into()).map_err(refused)?;
        Self::new(text, artifact)
    }

    pub(crate) fn new(text: String, artifact: &OpenArtifact) -> Result<Self> {
        let ReadTable {
            columns,
            kinds,
            rows,
        } = reading::table(&text).map_err(refused)?;
        Ok(Self {
            artifact: artifact.clone(),
            text,
            columns,
            kinds,
            rows,
        })
    }

    /// The names of its columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// What the values of each column are in W&B's words, such as `number`, `string`, `boolean`,
    /// `list` or `image-file`: none where the table doesn't say it, and `unknown` where there is no
    /// value.
    pub fn column_types(&self) -> impl ExactSizeIterator<Item = (&str, Option<&str>)> {
        let kinds = self.columns.iter().zip(&self.kinds);
        kinds.map(|(name, kind)| (&**name, kind.as_deref()))
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows.len
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.len == 0
    }

    /// Its rows in their order, each read when the iterator comes to it.
    #[doc(alias = "iterrows")]
    pub fn rows(&self) -> TableRows<'_> {
        TableRows {
            table: self,
            left: self.rows.clone(),
        }
    }

    fn read(&self, row: usize, text: &str) -> Result<Vec<Cell>> {
        let values = reading::row(text, self.columns.len());
        let values = values.map_err(|reason| refused(format!("row {row}: {reason}")))?;
        let mut room = MAX_ROW;
        let cells = values.into_iter().zip(&self.columns);
        let cells = cells.map(|(value, column)| {
            let cell = self.cell(value).and_then(|cell| {
                let left = room.checked_sub(cell.held());
                room = left.ok_or_else(|| refused(ROW_TOO_LARGE.into()))?;
                Ok(cell)
            });
            cell.map_err(|error| Error::Cell {
                row,
                column: column.clone(),
                source: Arc::new(error),
            })
        });
        cells.collect()
    }

    fn cell(&self, value: Value) -> Result<Cell> {
        match reading::is_image(&value) {
            true => Image::from_json(&value, &self.artifact).map(Cell::from),
            false => Ok(Cell::of_marked(value)),
        }
    }
}

impl<'t> IntoIterator for &'t TableReader {
    type Item = Result<Vec<Cell>>;
    type IntoIter = TableRows<'t>;

    fn into_iter(self) -> TableRows<'t> {
        self.rows()
    }
}

/// The rows of a [`TableReader`]: a cell for each column.
///
/// # Errors
///
/// [`Error::ArtifactJson`] for a row that can't be read, and [`Error::Cell`] for a picture that
/// can't be, with what [`Image::from_json`] says of it. The next row comes after that.
#[derive(Clone, Debug)]
#[must_use]
pub struct TableRows<'t> {
    table: &'t TableReader,
    left: List,
}

impl Iterator for TableRows<'_> {
    type Item = Result<Vec<Cell>>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.table.rows.len - self.left.len;
        let text = self.left.next(&self.table.text)?;
        let text = text.map_err(|reason| refused(format!("row {row}: {reason}")));
        Some(text.and_then(|text| self.table.read(row, text)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.len, Some(self.left.len))
    }
}

impl ExactSizeIterator for TableRows<'_> {}

/// The most memory that a row takes before its last picture, in bytes.
const MAX_ROW: u64 = 2 << 30;
const ROW_TOO_LARGE: &str = "the pictures of its row take over 2 GiB, which is more than is read";

fn refused(reason: String) -> Error {
    Error::ArtifactJson { reason }
}
