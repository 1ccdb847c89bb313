//! [`ImageMask`]: the class of each pixel.

mod options;

use std::path::Path;
use std::sync::Arc;

pub use options::MaskOptions;

use super::address;
use super::classes::Classes;
use super::reading::Reading;
use crate::decode;
use crate::error::{Error, Result};
use crate::pixels::{MAX_DIMENSION, MaskPlan, Mode, Pixels};
use crate::tensor::Snapshot;

/// A layer over a picture: the class of each of its pixels, an id of 0 to 255.
///
/// Made from a tensor ([`to_wandb_mask`](crate::IntoWandbImage::to_wandb_mask)), from ids
/// ([`new`](Self::new)) or from a PNG file ([`from_path`](Self::from_path)). It must have the size
/// of its picture. A clone is cheap: it shares the ids.
///
/// A tensor's ids are brought to the host when the mask is logged, from a snapshot taken when the
/// mask was made: what happens to the tensor in between isn't seen.
///
/// ```
/// use wandb_image::{Classes, ImageMask};
///
/// let mask = ImageMask::new(3, 1, vec![0, 1, 1])?
///     .class_labels(Classes::from_names(["background", "cat"]));
/// assert_eq!((mask.width(), mask.height()), (3, 1));
/// # Ok::<(), wandb_image::Error>(())
/// ```
///
/// Two masks are equal when their ids and their labels are. One whose ids can't be had equals only
/// its own clones.
#[derive(Clone, Debug)]
#[must_use]
pub struct ImageMask {
    source: Source,
    labels: Option<Classes>,
    is_file: bool,
}

#[derive(Clone, Debug)]
enum Source {
    Ids(Arc<Pixels>),
    Tensor { batch: Arc<Batch>, index: usize },
}

/// What the masks of one tensor share.
#[derive(Debug)]
struct Batch {
    plan: MaskPlan,
    reading: Reading,
}

impl ImageMask {
    /// A mask of `width` × `height` pixels from the id of each, row by row from the top.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for a side of 0 or over 65,500, [`Error::TooLarge`] for a mask over 1 GiB,
    /// and [`Error::PixelCount`] for a wrong number of ids.
    pub fn new(width: u32, height: u32, ids: Vec<u8>) -> Result<Self> {
        let sides = 1..=MAX_DIMENSION as u32;
        if !sides.contains(&width) || !sides.contains(&height) {
            return Err(Error::Option {
                option: "the size of a mask",
                given: format!("{width}×{height} pixels"),
                expected: format!("it is that of its picture, each side 1 to {MAX_DIMENSION}"),
            });
        }
        let ids = Pixels::new(width, height, Mode::L, ids)?;
        Ok(Self::of(Source::Ids(Arc::new(ids))))
    }

    /// A mask from a PNG file, read here: of a grey one of 1, 2, 4 or 8 bits, the stored numbers
    /// are the ids, and of one with a palette its indices are, whatever their colours.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) when it can't be read,
    /// [`Error::MaskFile`](crate::Error::MaskFile) when it is another kind of picture (its text
    /// says which), none, or a damaged one.
    ///
    /// ```
    /// let error = wandb_image::ImageMask::from_path("no/such.png").unwrap_err();
    /// assert!(error.to_string().starts_with("could not read no/such.png"));
    /// ```
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        decode::ids_from_png(path.as_ref()).map(Self::of_file)
    }

    /// A mask from the bytes of a PNG file, read as [`from_path`](Self::from_path) reads it.
    ///
    /// # Errors
    ///
    /// [`Error::MaskFile`](crate::Error::MaskFile), as for [`from_path`](Self::from_path).
    ///
    /// ```
    /// let error = wandb_image::ImageMask::from_bytes(b"GIF89a").unwrap_err();
    /// assert!(error.to_string().ends_with("a mask is a PNG file, grey or with a palette"));
    /// ```
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        decode::ids_from_bytes(bytes).map(Self::of_file)
    }

    /// The masks of one tensor, which share its snapshot.
    pub(crate) fn from_batch(snapshot: Snapshot, plan: MaskPlan) -> Vec<Self> {
        let masks = plan.masks();
        let reading = Reading::new(snapshot);
        let batch = Arc::new(Batch { plan, reading });
        let mask = |index| {
            let batch = Arc::clone(&batch);
            Self::of(Source::Tensor { batch, index })
        };
        (0..masks).map(mask).collect()
    }

    /// The first mask of a tensor.
    pub(crate) fn from_snapshot(snapshot: Snapshot, plan: MaskPlan) -> Self {
        let reading = Reading::new(snapshot);
        let batch = Arc::new(Batch { plan, reading });
        Self::of(Source::Tensor { batch, index: 0 })
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            labels: None,
            is_file: false,
        }
    }

    fn of_file(ids: Pixels) -> Self {
        Self {
            is_file: true,
            ..Self::of(Source::Ids(Arc::new(ids)))
        }
    }

    /// Whether its ids are those of a picture file, whose classes W&B doesn't number.
    pub(super) fn is_file(&self) -> bool {
        self.is_file
    }

    /// The names of this mask's classes. By default those of its image, and `class_<id>` where
    /// that has none.
    pub fn class_labels(mut self, classes: Classes) -> Self {
        self.labels = Some(classes);
        self
    }

    /// Width in pixels. Known without making the mask.
    pub fn width(&self) -> u32 {
        self.size().0
    }

    /// Height in pixels. Known without making the mask.
    pub fn height(&self) -> u32 {
        self.size().1
    }

    /// The id of each pixel, as a picture of mode [`L`](Mode::L).
    ///
    /// ```
    /// use wandb_image::{HostTensor, IntoWandbImage};
    ///
    /// let scores = HostTensor::new([2, 1, 2], vec![0.1_f32, 0.9, 0.9, 0.1])?;
    /// assert_eq!(scores.to_wandb_mask()?.ids()?.as_bytes(), [1, 0]);
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::MaskId`](crate::Error::MaskId) for an id outside 0 to 255, with its row and
    /// column, and [`Error::Device`](crate::Error::Device) when a tensor can't be read from its
    /// device (in [`Error::Shared`](crate::Error::Shared)).
    pub fn ids(&self) -> Result<Arc<Pixels>> {
        Ok(self.make()?.0)
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> (u32, u32) {
        match &self.source {
            Source::Ids(ids) => (ids.width(), ids.height()),
            Source::Tensor { batch, .. } => batch.plan.size(),
        }
    }

    /// The memory that the mask holds until it is made, in bytes. What several masks share has
    /// the same number in each.
    pub(crate) fn held(&self) -> Vec<(usize, u64)> {
        match &self.source {
            Source::Ids(ids) => vec![(address(ids), ids.as_bytes().len() as u64)],
            Source::Tensor { batch, .. } => vec![(address(batch), batch.reading.size_bytes())],
        }
    }

    /// The ids, and how many pixels had no score but NaN.
    pub(crate) fn make(&self) -> Result<(Arc<Pixels>, u64)> {
        match &self.source {
            Source::Ids(ids) => Ok((Arc::clone(ids), 0)),
            Source::Tensor { batch, index } => {
                let (ids, unscored) = batch.plan.render(batch.reading.host()?, *index)?;
                Ok((Arc::new(ids), unscored))
            }
        }
    }

    /// The names that [`class_labels`](Self::class_labels) gave.
    ///
    /// ```
    /// use wandb_image::{Classes, ImageMask};
    ///
    /// let mask = ImageMask::new(1, 1, vec![0])?;
    /// assert_eq!(mask.labels(), None);
    /// let mask = mask.class_labels(Classes::from_names(["sky"]));
    /// assert_eq!(mask.labels().and_then(|names| names.get(0)), Some("sky"));
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn labels(&self) -> Option<&Classes> {
        self.labels.as_ref()
    }

    /// Whether both have the same ids, whatever their names. Ids are made to be compared.
    pub(super) fn covers_as(&self, other: &Self) -> bool {
        self.is_clone_of(other) || self.has_ids_of(other)
    }

    fn is_clone_of(&self, other: &Self) -> bool {
        match (&self.source, &other.source) {
            (Source::Ids(a), Source::Ids(b)) => Arc::ptr_eq(a, b),
            (Source::Tensor { batch: a, index: i }, Source::Tensor { batch: b, index: j }) => {
                i == j && Arc::ptr_eq(a, b)
            }
            _ => false,
        }
    }

    fn has_ids_of(&self, other: &Self) -> bool {
        let same = |a: &Self, b: &Self| Some(a.ids().ok()? == b.ids().ok()?);
        self.size() == other.size() && same(self, other).unwrap_or(false)
    }
}

impl PartialEq for ImageMask {
    fn eq(&self, other: &Self) -> bool {
        self.labels() == other.labels() && self.covers_as(other)
    }
}

#[cfg(test)]
mod tests;
