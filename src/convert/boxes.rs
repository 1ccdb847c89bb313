//! Boxes from the tensors of a detection head.

use super::IntoWandbImage;
use crate::error::Result;
use crate::image::boxes::{BoundingBoxes2D, BoxFormat, Domain};

impl BoundingBoxes2D {
    /// The boxes of a tensor of shape (N, 4) and any number dtype, as a detection head gives them;
    /// N may be 0. They are of class 0 until [`class_ids`](Self::class_ids) says otherwise.
    ///
    /// Shape and dtype are checked here; the numbers when the boxes are made, from a snapshot
    /// taken now.
    ///
    /// ```
    /// use wandb_image::{BoundingBoxes2D, BoxFormat, Domain, HostTensor};
    ///
    /// let xyxy = HostTensor::new([2, 4], vec![1_f32, 2., 5., 9., 0., 0., 4., 4.])?;
    /// let boxes = BoundingBoxes2D::from_tensor(&xyxy, BoxFormat::Xyxy, Domain::Pixel)?
    ///     .class_ids(&HostTensor::new([2], vec![7_i64, 1])?)?
    ///     .scores("confidence", &HostTensor::new([2], vec![0.5_f32, 0.25])?)?;
    /// let made = boxes.boxes_in(64, 48)?;
    /// assert_eq!((made[0].class_id(), made[1].scores()["confidence"]), (7, 0.25));
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::LayerTensor`](crate::Error::LayerTensor) for another shape or for bools,
    /// [`Error::Option`](crate::Error::Option) for over a million boxes, and those of
    /// [`IntoWandbImage::snapshot`].
    pub fn from_tensor(
        boxes: &(impl IntoWandbImage + ?Sized),
        format: BoxFormat,
        domain: Domain,
    ) -> Result<Self> {
        Self::from_snapshot(boxes.snapshot()?, format, domain)
    }

    /// The class of each box, from a tensor of an integer dtype, shape (N) or (N, 1). Before it is
    /// called, each box has the class it was made with, and those of a tensor have class 0.
    ///
    /// # Errors
    ///
    /// [`Error::LayerTensor`](crate::Error::LayerTensor) for floats and bools, and where there are
    /// not as many ids as boxes; and those of [`IntoWandbImage::snapshot`].
    pub fn class_ids(self, ids: &(impl IntoWandbImage + ?Sized)) -> Result<Self> {
        self.class_ids_snapshot(ids.snapshot()?)
    }

    /// A score of this name for each box, from a tensor of any number dtype, shape (N) or (N, 1).
    /// May be called for many names; of two calls for the same name the later counts.
    ///
    /// # Errors
    ///
    /// [`Error::LayerTensor`](crate::Error::LayerTensor) for bools, and where there are not as
    /// many scores as boxes; and those of [`IntoWandbImage::snapshot`].
    pub fn scores(
        self,
        name: impl Into<String>,
        scores: &(impl IntoWandbImage + ?Sized),
    ) -> Result<Self> {
        self.scores_snapshot(name.into(), scores.snapshot()?)
    }
}
