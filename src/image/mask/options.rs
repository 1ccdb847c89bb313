//! [`MaskOptions`].

use crate::pixels::{Layout, Remap, Resize};

/// How a tensor becomes a mask. Everything has a default; setters consume and return it.
///
/// | option | default |
/// | --- | --- |
/// | [`remap`](Self::remap) | ids stay as they are |
/// | [`remap_outside`](Self::remap_outside) | an id outside 0 to 255 is an error |
/// | [`layout`](Self::layout) | [`Chw`](Layout::Chw) for tensors, [`Hwc`](Layout::Hwc) for ndarray |
/// | [`resize`](Self::resize) | as it is |
///
/// ```
/// use wandb_image::{HostTensor, IntoWandbImage, MaskOptions};
///
/// let target = HostTensor::new([1, 4], vec![0_i64, 3, -100, 1_000])?;
/// let options = MaskOptions::new().remap(-100, 255).remap_outside(254);
/// let mask = target.to_wandb_mask_with(&options)?;
/// assert_eq!(mask.ids()?.as_bytes(), [0, 3, 255, 254]);
/// # Ok::<(), wandb_image::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
#[must_use]
pub struct MaskOptions {
    pub(crate) remap: Remap,
    pub(crate) layout: Option<Layout>,
    pub(crate) resize: Option<Resize>,
}

impl MaskOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another id for pixels of this one: for an ignore index such as -100 or 255, or for a class
    /// beyond 255. May be called for many ids; of two calls for the same id the later counts.
    /// What an id becomes isn't looked up again; name it too, where the mask has class labels. By
    /// default ids stay as they are.
    pub fn remap(mut self, id: i64, to: u8) -> Self {
        self.remap.named.insert(id, to);
        self
    }

    /// Another id for all pixels whose id lies outside 0 to 255, but for those that
    /// [`remap`](Self::remap) names. By default such an id is an error that says where it is.
    pub fn remap_outside(mut self, to: u8) -> Self {
        self.remap.outside = Some(to);
        self
    }

    /// How the dimensions are read. By default [`Chw`](Layout::Chw) for tensors and
    /// [`Hwc`](Layout::Hwc) for ndarray's arrays. Means nothing for ids without channels.
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = Some(layout);
        self
    }

    /// Another size for the mask, as its picture got by
    /// [`ImageOptions::resize`](crate::ImageOptions::resize). Always by the nearest pixel, so that
    /// ids are never mixed; ids are read, and remapped, before. By default as it is.
    ///
    /// ```
    /// use wandb_image::{HostTensor, ImageOptions, IntoWandbImage, MaskOptions, Resize};
    ///
    /// let digit = HostTensor::new([1, 2], vec![0_u8, 255])?;
    /// let truth = HostTensor::new([1, 2], vec![0_i64, 7])?;
    /// let larger = Resize::Enlarge(2);
    /// let image = digit.to_wandb_image_with(&ImageOptions::new().resize(larger))?;
    /// let mask = truth.to_wandb_mask_with(&MaskOptions::new().resize(larger))?;
    /// assert_eq!(mask.ids()?.as_bytes(), [0, 0, 7, 7, 0, 0, 7, 7]);
    /// let image = image.masks("truth", mask)?;
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn resize(mut self, resize: Resize) -> Self {
        self.resize = Some(resize);
        self
    }
}
