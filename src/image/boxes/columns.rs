//! What of a layer's boxes comes from tensors: shapes and dtypes are checked when they are given,
//! numbers when the boxes are made.

use std::fmt::Display;
use std::sync::Arc;

use super::check::check_numbers;
use super::{BoundingBox, BoxFormat, Domain, Position};
use crate::error::{Error, Result, counted_as as counted};
use crate::image::address;
use crate::image::reading::Reading;
use crate::pixels::{Kind, floats, integers};
use crate::tensor::Snapshot;

/// The boxes of one layer at most.
const MAX_BOXES: usize = 1_000_000;

/// A box, or why it can't be drawn: the text after `box 3`.
pub(super) type Row = Result<BoundingBox, String>;

/// Where the boxes are, one a row.
#[derive(Clone, Debug)]
pub(super) enum Positions {
    List(Arc<[BoundingBox]>),
    Tensor {
        numbers: Column,
        format: BoxFormat,
        domain: Domain,
    },
}

impl Positions {
    pub(super) fn of_tensor(snapshot: Snapshot, format: BoxFormat, domain: Domain) -> Result<Self> {
        let hint = match (snapshot.shape(), Kind::of(snapshot.dtype())) {
            (_, Kind::Bool) => "their dtype is an integer or a float one",
            (&[boxes, 4], _) => {
                check_count(boxes)?;
                let numbers = Column::new(snapshot);
                return Ok(Positions::Tensor {
                    numbers,
                    format,
                    domain,
                });
            }
            (&[_, columns], _) if columns > 4 => {
                "their shape is (N, 4): narrow it to the four columns of the coordinates, and give \
                 the rest to BoundingBoxes2D::class_ids and BoundingBoxes2D::scores"
            }
            (&[_, _, _], _) => {
                "their shape is (N, 4): select one picture's boxes, each picture has its own"
            }
            _ => "their shape is (N, 4): select or reshape it first",
        };
        Err(refused(&snapshot, "boxes", hint))
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Positions::List(boxes) => boxes.len(),
            Positions::Tensor { numbers, .. } => numbers.len,
        }
    }

    pub(super) fn rows(&self) -> Result<Vec<Row>> {
        match self {
            Positions::List(boxes) => Ok(boxes.iter().cloned().map(Ok).collect()),
            Positions::Tensor {
                numbers,
                format,
                domain,
            } => {
                let numbers = numbers.floats()?;
                let (rows, _) = numbers.as_chunks::<4>();
                let row = |&row: &[f64; 4]| {
                    let position = position(row, *format)?;
                    Ok(BoundingBox::new(*domain, position, 0))
                };
                Ok(rows.iter().map(row).collect())
            }
        }
    }

    pub(super) fn held(&self) -> (usize, u64) {
        match self {
            Positions::List(boxes) => {
                let bytes: usize = boxes.iter().map(BoundingBox::size_bytes).sum();
                (address(boxes), bytes as u64)
            }
            Positions::Tensor { numbers, .. } => numbers.held(),
        }
    }

    pub(super) fn is_clone_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Positions::List(a), Positions::List(b)) => Arc::ptr_eq(a, b),
            (
                Positions::Tensor {
                    numbers,
                    format,
                    domain,
                },
                Positions::Tensor {
                    numbers: others,
                    format: other_format,
                    domain: other_domain,
                },
            ) => numbers == others && (format, domain) == (other_format, other_domain),
            _ => false,
        }
    }
}

/// Refuses more boxes than a layer may have.
pub(super) fn check_count(boxes: usize) -> Result<()> {
    match boxes {
        ..=MAX_BOXES => Ok(()),
        _ => Err(Error::Option {
            option: "the number of boxes",
            given: boxes.to_string(),
            expected: "a layer has at most 1,000,000: select those to show first".into(),
        }),
    }
}

fn position(row: [f64; 4], format: BoxFormat) -> Result<Position, String> {
    check_numbers(format, row)?;
    let [a, b, c, d] = row;
    Ok(match format {
        BoxFormat::Xyxy => Position::corners(a, b, c, d),
        BoxFormat::Xywh => Position::corners(a, b, a + c, b + d),
        BoxFormat::Cxcywh => Position::middle(a, b, c, d),
    })
}

/// The numbers of a tensor, as many rows as there are boxes. Equal where they come from the same
/// snapshot.
#[derive(Clone, Debug)]
pub(super) struct Column {
    reading: Arc<Reading>,
    len: usize,
}

impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.reading, &other.reading)
    }
}

impl Column {
    fn new(snapshot: Snapshot) -> Self {
        Self {
            len: snapshot.shape().first().copied().unwrap_or_default(),
            reading: Arc::new(Reading::new(snapshot)),
        }
    }

    pub(super) fn of_class_ids(snapshot: Snapshot, boxes: usize) -> Result<Self> {
        let what = || format!("the class ids of {}", counted(boxes as u64, "box", "boxes"));
        match Kind::of(snapshot.dtype()) {
            Kind::Integer => Self::checked(snapshot, boxes, what),
            Kind::Bool | Kind::Float => {
                let hint = "their dtype is an integer one: cast it";
                Err(refused(&snapshot, what(), hint))
            }
        }
    }

    pub(super) fn of_scores(snapshot: Snapshot, boxes: usize, name: &str) -> Result<Self> {
        let what = || {
            format!(
                "the scores {name:?} of {}",
                counted(boxes as u64, "box", "boxes")
            )
        };
        match Kind::of(snapshot.dtype()) {
            Kind::Integer | Kind::Float => Self::checked(snapshot, boxes, what),
            Kind::Bool => {
                let hint = "their dtype is a float or an integer one: cast it";
                Err(refused(&snapshot, what(), hint))
            }
        }
    }

    fn checked(snapshot: Snapshot, boxes: usize, what: impl Fn() -> String) -> Result<Self> {
        match *snapshot.shape() {
            [len] | [len, 1] if len == boxes => Ok(Self::new(snapshot)),
            _ => {
                let hint = format!("their shape is ({boxes}) or ({boxes}, 1), one for each box");
                Err(refused(&snapshot, what(), hint))
            }
        }
    }

    pub(super) fn floats(&self) -> Result<Vec<f64>> {
        Ok(floats(self.reading.host()?))
    }

    /// Each as an id, or why it can be none.
    pub(super) fn ids(&self) -> Result<Vec<Result<i64, String>>> {
        let ids = integers(self.reading.host()?).unwrap_or_default();
        let id = |id| {
            i64::try_from(id)
                .map_err(|_| format!("has the class id {id}, but the greatest is {}", i64::MAX))
        };
        Ok(ids.into_iter().map(id).collect())
    }

    pub(super) fn held(&self) -> (usize, u64) {
        (address(&self.reading), self.reading.size_bytes())
    }
}

fn refused(snapshot: &Snapshot, what: impl Display, hint: impl Display) -> Error {
    Error::LayerTensor {
        shape: snapshot.shape().to_vec(),
        dtype: snapshot.dtype().name(),
        reason: format!("{what}: {hint}"),
    }
}
