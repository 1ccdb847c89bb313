//! [`MaskOptions`].

use crate::pixels::{Layout, Remap};

/// How a tensor becomes a mask. Everything has a default; setters consume and return it.
///
/// | option | default |
/// | --- | --- |
/// | [`remap`](Self::remap) | ids stay as they are |
/// | [`remap_outside`](Self::remap_outside) | an id outside 0 to 255 is an error |
/// | [`layout`](Self::layout) | [`Chw`](Layout::Chw) for tensors, [`Hwc`](Layout::Hwc) for ndarray |
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
}
