//! [`BoundingBoxes2D`]: a layer of boxes over a picture.

mod bounding_box;
mod check;
mod clip;
mod columns;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use bounding_box::{BoundingBox, Domain, Position};

pub(super) use check::{check, check_score};

use super::classes::Classes;
use crate::error::{Error, Result};
use crate::tensor::Snapshot;
use columns::{Column, Positions, Row};

/// What the four numbers of a box in a tensor are, in the units of its [`Domain`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BoxFormat {
    /// x and y of the upper left corner, then of the lower right one: Pascal VOC's and
    /// torchvision's.
    Xyxy,
    /// x and y of the upper left corner, then width and height: COCO's.
    Xywh,
    /// x and y of the middle, then width and height: YOLO's and DETR's.
    Cxcywh,
}

/// What becomes of a box that can't be drawn: one with a coordinate or a score that is NaN or
/// infinite, with a score without a name, with a greater minimum than maximum or a negative size, with a class id over
/// [`i64::MAX`], or, in [`Domain::Fraction`], with an edge outside -1 to 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Invalid {
    /// The layer is refused, with an error that names the box.
    #[default]
    Error,
    /// It is left out, and counted.
    Skip,
}

/// A layer of boxes over a picture.
///
/// From boxes ([`new`](Self::new)) or from tensors ([`from_tensor`](Self::from_tensor)). Boxes of
/// a list are checked when the layer is given to a picture, those of a tensor when it is logged. A
/// box may reach over the edge of the picture, as detectors give them; it is kept as it is, unless
/// [`clip`](Self::clip) says otherwise. A clone is cheap: it shares the boxes.
///
/// ```
/// use wandb_image::{BoundingBox, BoundingBoxes2D, Classes, Domain, Position};
///
/// let cat = BoundingBox::new(Domain::Pixel, Position::corners(-2.0, 1.0, 5.0, 9.0), 1);
/// let boxes = BoundingBoxes2D::new([cat])
///     .class_labels(Classes::from_names(["background", "cat"]))
///     .clip(true);
/// let made = boxes.boxes_in(64, 48)?;
/// assert_eq!(made[0].position(), Position::corners(0.0, 1.0, 5.0, 9.0));
/// # Ok::<(), wandb_image::Error>(())
/// ```
///
/// Two layers are equal when their boxes, their labels and [`clip`](Self::clip) are; two images
/// are when the boxes over their pictures are. One whose boxes can't be had equals only its own
/// clones.
#[derive(Clone, Debug)]
#[must_use]
pub struct BoundingBoxes2D {
    positions: Positions,
    class_ids: Option<Column>,
    scores: BTreeMap<String, Column>,
    captions: Option<Captions>,
    labels: Option<Classes>,
    invalid: Invalid,
    clip: bool,
}

#[derive(Clone)]
struct Captions(Arc<dyn Fn(&BoundingBox) -> String + Send + Sync>);

impl std::fmt::Debug for Captions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Captions")
    }
}

impl PartialEq for Captions {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The boxes of a layer as they are drawn.
#[derive(Debug)]
pub(crate) struct MadeBoxes {
    pub(crate) boxes: Vec<BoundingBox>,
    /// How many were left out: invalid, or wholly outside the picture when clipped.
    pub(crate) skipped: u64,
    /// How many are kept that lie wholly outside the picture.
    pub(crate) outside: u64,
}

impl BoundingBoxes2D {
    /// A layer of these boxes. They are checked when it is given to a picture.
    pub fn new(boxes: impl IntoIterator<Item = BoundingBox>) -> Self {
        Self::of(Positions::List(boxes.into_iter().collect()))
    }

    /// The boxes of a tensor of shape (N, 4).
    pub(crate) fn from_snapshot(
        snapshot: Snapshot,
        format: BoxFormat,
        domain: Domain,
    ) -> Result<Self> {
        Ok(Self::of(Positions::of_tensor(snapshot, format, domain)?))
    }

    fn of(positions: Positions) -> Self {
        Self {
            positions,
            class_ids: None,
            scores: BTreeMap::new(),
            captions: None,
            labels: None,
            invalid: Invalid::default(),
            clip: false,
        }
    }

    /// The class of each box, from a tensor.
    pub(crate) fn class_ids_snapshot(mut self, snapshot: Snapshot) -> Result<Self> {
        let column = Column::of_class_ids(snapshot, self.positions.len())?;
        self.class_ids = Some(column);
        Ok(self)
    }

    /// A score of each box, from a tensor.
    pub(crate) fn scores_snapshot(mut self, name: String, snapshot: Snapshot) -> Result<Self> {
        let column = Column::of_scores(snapshot, self.positions.len(), &name)?;
        self.scores.insert(name, column);
        Ok(self)
    }

    /// The caption of each box, from its class and scores, before it is clipped. Called when the
    /// boxes are made: of those that are logged, on another thread. By default the caption that a box was made with, or none.
    ///
    /// ```
    /// use wandb_image::{BoundingBoxes2D, BoxFormat, Domain, HostTensor};
    ///
    /// let xyxy = HostTensor::new([1, 4], vec![1_f32, 2., 5., 9.])?;
    /// let boxes = BoundingBoxes2D::from_tensor(&xyxy, BoxFormat::Xyxy, Domain::Pixel)?
    ///     .scores("confidence", &HostTensor::new([1], vec![0.5_f32])?)?
    ///     .captions(|found| format!("cat {:.2}", found.scores()["confidence"]));
    /// assert_eq!(boxes.boxes_in(64, 48)?[0].caption_text(), Some("cat 0.50"));
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn captions(
        mut self,
        caption: impl Fn(&BoundingBox) -> String + Send + Sync + 'static,
    ) -> Self {
        self.captions = Some(Captions(Arc::new(caption)));
        self
    }

    /// The names of this layer's classes. By default those of its image, and `class_<id>` where
    /// that has none.
    pub fn class_labels(mut self, classes: Classes) -> Self {
        self.labels = Some(classes);
        self
    }

    /// What becomes of a box that can't be drawn. [`Error`](Invalid::Error) by default.
    pub fn invalid(mut self, invalid: Invalid) -> Self {
        self.invalid = invalid;
        self
    }

    /// Whether boxes that reach over the edge of the picture are cut there; one that lies wholly
    /// outside is left out, and counted. By default boxes are kept as they are.
    pub fn clip(mut self, clip: bool) -> Self {
        self.clip = clip;
        self
    }

    /// The boxes as they are logged with a picture of `width` × `height` pixels: without those
    /// that are skipped, and clipped where that was asked for.
    ///
    /// # Errors
    ///
    /// [`Error::Box`] for one that can't be drawn, unless such are skipped
    /// ([`Invalid::Skip`]), and [`Error::Device`] when a tensor can't be read from its device (in
    /// [`Error::Shared`]).
    ///
    /// ```
    /// use wandb_image::{BoundingBoxes2D, BoxFormat, Domain, HostTensor, Invalid};
    ///
    /// let cxcywh = HostTensor::new([2, 4], vec![0.5_f32, 0.5, 0.2, 0.2, f32::NAN, 0.0, 1.0, 1.0])?;
    /// let boxes = BoundingBoxes2D::from_tensor(&cxcywh, BoxFormat::Cxcywh, Domain::Fraction)?;
    /// let error = boxes.boxes_in(64, 48).unwrap_err();
    /// assert!(error.to_string().starts_with("box 1 has a middle x of NaN"));
    /// assert_eq!(boxes.invalid(Invalid::Skip).boxes_in(64, 48)?.len(), 1);
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn boxes_in(&self, width: u32, height: u32) -> Result<Vec<BoundingBox>> {
        Ok(self.make((width, height))?.boxes)
    }

    /// Refuses what [`make`](Self::make) would, as far as that is known without reading a tensor.
    pub(crate) fn check(&self) -> Result<()> {
        columns::check_count(self.positions.len())?;
        match (&self.positions, self.invalid) {
            (Positions::List(boxes), Invalid::Error) => {
                let mut checked = boxes.iter().map(check::check).enumerate();
                checked.try_for_each(|(index, checked)| at(index, checked.map_err(Into::into)))
            }
            _ => Ok(()),
        }
    }

    /// The memory that the boxes hold until they are made, in bytes. What several layers share has
    /// the same number in each.
    pub(crate) fn held(&self) -> Vec<(usize, u64)> {
        let columns = self.class_ids.iter().chain(self.scores.values());
        let positions = std::iter::once(self.positions.held());
        positions.chain(columns.map(Column::held)).collect()
    }

    /// The boxes over a picture of this width and height, in pixels.
    pub(crate) fn make(&self, size: (u32, u32)) -> Result<MadeBoxes> {
        let (valid, invalid) = self.valid()?;
        let given = valid.len();
        let boxes = match self.clip {
            true => clip::clip(valid, size),
            false => valid,
        };
        let skipped = invalid + (given - boxes.len()) as u64;
        let outside = clip::outside(&boxes, size);
        Ok(MadeBoxes {
            boxes,
            skipped,
            outside,
        })
    }

    /// The names that [`class_labels`](Self::class_labels) gave.
    ///
    /// ```
    /// use wandb_image::{BoundingBoxes2D, Classes};
    ///
    /// let boxes = BoundingBoxes2D::new([]);
    /// assert_eq!(boxes.labels(), None);
    /// let boxes = boxes.class_labels(Classes::from_names(["sky"]));
    /// assert_eq!(boxes.labels().and_then(|names| names.get(0)), Some("sky"));
    /// ```
    pub fn labels(&self) -> Option<&Classes> {
        self.labels.as_ref()
    }

    /// Whether there is no box.
    pub(super) fn is_empty(&self) -> bool {
        self.positions.len() == 0
    }

    /// The boxes that can be drawn, and how many were skipped.
    fn valid(&self) -> Result<(Vec<BoundingBox>, u64)> {
        let rows = self.rows()?.into_iter();
        let rows = rows.map(|row| Ok(self.captioned(checked(row)?)));
        match self.invalid {
            Invalid::Error => {
                let boxes = rows.enumerate().map(|(index, row)| at(index, row));
                Ok((boxes.collect::<Result<_>>()?, 0))
            }
            Invalid::Skip => {
                let given = rows.len();
                let boxes: Vec<BoundingBox> = rows.flatten().collect();
                let skipped = (given - boxes.len()) as u64;
                Ok((boxes, skipped))
            }
        }
    }

    fn captioned(&self, one: BoundingBox) -> BoundingBox {
        match &self.captions {
            Some(Captions(caption)) => {
                let text = caption(&one);
                one.caption(text)
            }
            None => one,
        }
    }

    /// All boxes, with what the columns say of them.
    fn rows(&self) -> Result<Vec<Row>> {
        let mut rows = self.positions.rows()?;
        if let Some(ids) = &self.class_ids {
            rows = join(rows, ids.ids()?, |row, id| Ok(row.of_class(id?)));
        }
        for (name, scores) in &self.scores {
            rows = join(rows, scores.floats()?, |row, score| {
                Ok(row.score(name, score))
            });
        }
        Ok(rows)
    }

    /// Whether both show the same boxes over a picture of this width and height, whatever the
    /// names of their classes. Boxes are made to be compared.
    pub(super) fn show_as(&self, other: &Self, size: (u32, u32)) -> bool {
        let made = |boxes: &Self| Some(boxes.make(size).ok()?.boxes);
        let same = || Some(made(self)? == made(other)?);
        (self.clip == other.clip && self.is_clone_of(other)) || same().unwrap_or(false)
    }

    fn is_clone_of(&self, other: &Self) -> bool {
        self.positions.is_clone_of(&other.positions)
            && self.class_ids == other.class_ids
            && self.scores == other.scores
            && self.captions == other.captions
            && self.invalid == other.invalid
    }

    fn has_boxes_of(&self, other: &Self) -> bool {
        let same = |a: &Self, b: &Self| Some(a.valid().ok()?.0 == b.valid().ok()?.0);
        same(self, other).unwrap_or(false)
    }
}

impl PartialEq for BoundingBoxes2D {
    fn eq(&self, other: &Self) -> bool {
        self.labels() == other.labels()
            && self.clip == other.clip
            && (self.is_clone_of(other) || self.has_boxes_of(other))
    }
}

/// Each box with its value of a column.
fn join<T>(rows: Vec<Row>, column: Vec<T>, with: impl Fn(BoundingBox, T) -> Row) -> Vec<Row> {
    let pairs = rows.into_iter().zip(column);
    pairs
        .map(|(row, value)| row.and_then(|row| with(row, value)))
        .collect()
}

fn checked(row: Row) -> Row {
    let row = row?;
    check::check(&row)?;
    Ok(row)
}

fn at<T>(index: usize, row: Result<T, String>) -> Result<T> {
    row.map_err(|reason| Error::Box { index, reason })
}

#[cfg(test)]
mod tests;
