//! From a tensor of class ids, or of scores per class, to the ids that a mask holds: bytes.

mod argmax;
mod refusal;

use std::collections::BTreeMap;

use super::numbers::{Integer, Kind, each_integer};
use super::resize::{self, Resize};
use super::sample::Sample;
use super::{Layout, Mode, Pixels, check_images, check_size, check_tensor};
use crate::error::{Error, Result};
use crate::tensor::{DType, HostTensor};
use argmax::{Best, argmax_pixels, argmax_planes};
use refusal::{each_hint, one_hint, refused};

/// Which ids become others, once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Remap {
    pub(crate) named: BTreeMap<i64, u8>,
    /// All outside 0 to 255 that aren't named.
    pub(crate) outside: Option<u8>,
}

impl Remap {
    /// None where nothing is said of an id that a mask can't hold.
    fn get(&self, id: i128) -> Option<u8> {
        let named = i64::try_from(id).ok().and_then(|id| self.named.get(&id));
        let kept = || u8::try_from(id).ok().or(self.outside);
        named.copied().or_else(kept)
    }

    /// What each id becomes that a byte holds.
    fn table(&self) -> [u8; 256] {
        std::array::from_fn(|id| self.get(id as i128).unwrap_or_default())
    }
}

/// How tensors of one shape and dtype become masks. A plan that exists can be carried out, but for
/// ids that a mask can't hold.
#[derive(Debug)]
pub(crate) struct MaskPlan {
    dims: Dims,
    layout: Layout,
    remap: Remap,
    /// Width and height of each mask: those of the tensor, or others.
    size: (usize, usize),
    /// Whether errors say which mask of the tensor it was.
    is_batch: bool,
}

#[derive(Clone, Copy, Debug)]
struct Dims {
    masks: usize,
    channels: usize,
    height: usize,
    width: usize,
}

impl Dims {
    /// Of so many masks, each of this shape: ids have one channel, scores more. None for what is
    /// neither.
    fn of_masks(masks: usize, shape: &[usize], dtype: DType, layout: Layout) -> Option<Self> {
        let is_float = Kind::of(dtype) == Kind::Float;
        let (channels, height, width) = match (shape, is_float) {
            (&[height, width], false) => (1, height, width),
            (&[a, b, c], _) => image_dims([a, b, c], layout),
            _ => return None,
        };
        let is_mask = (channels == 1) != is_float || channels == 0;
        is_mask.then_some(Self {
            masks,
            channels,
            height,
            width,
        })
    }
}

impl MaskPlan {
    /// For one mask of a tensor.
    pub(crate) fn one(shape: &[usize], dtype: DType, layout: Layout, remap: Remap) -> Result<Self> {
        match Dims::of_masks(1, shape, dtype, layout) {
            Some(dims) => Self::new((shape, dtype), dims, layout, remap, false),
            None => {
                let hint = one_hint(shape, dtype, layout);
                Err(refused(shape, dtype, "a mask", hint))
            }
        }
    }

    /// For as many masks as there are in a batch.
    pub(crate) fn each(
        shape: &[usize],
        dtype: DType,
        layout: Layout,
        remap: Remap,
    ) -> Result<Self> {
        let dims = shape
            .split_first()
            .and_then(|(&masks, shape)| Dims::of_masks(masks, shape, dtype, layout));
        match dims {
            Some(dims) => Self::new((shape, dtype), dims, layout, remap, true),
            None => {
                let hint = each_hint(shape, dtype, layout);
                Err(refused(shape, dtype, "a batch of masks", hint))
            }
        }
    }

    fn new(
        (shape, dtype): (&[usize], DType),
        dims: Dims,
        layout: Layout,
        remap: Remap,
        is_batch: bool,
    ) -> Result<Self> {
        if shape.contains(&0) {
            return Err(Error::Empty {
                shape: shape.to_vec(),
            });
        }
        check_size(dims.width, dims.height, 1)?;
        check_tensor(shape, dtype)?;
        check_images(shape, dims.masks)?;
        Ok(Self {
            dims,
            layout,
            remap,
            size: (dims.width, dims.height),
            is_batch,
        })
    }

    /// For masks of another size.
    pub(crate) fn resized(self, resize: Resize) -> Result<Self> {
        let size = resize.size((self.dims.width, self.dims.height))?;
        check_size(size.0, size.1, 1)?;
        resize::check((self.dims.width, self.dims.height), size)?;
        Ok(Self { size, ..self })
    }

    /// How many masks there will be.
    pub(crate) fn masks(&self) -> usize {
        self.dims.masks
    }

    /// Width and height of each mask, in pixels.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.size.0 as u32, self.size.1 as u32)
    }

    /// Mask `index` of a tensor of this plan's shape and dtype, mode L, and how many of its pixels
    /// have no score but NaN: these have class 0.
    pub(crate) fn render(&self, tensor: &HostTensor, index: usize) -> Result<(Pixels, u64)> {
        let (ids, unscored) = each_integer!(
            tensor.elements(),
            values => (self.ids(self.part(tensor, values, index)?, index)?, 0),
            scores => self.best(self.part(tensor, scores, index)?, index)?
        );
        let ids = resize::nearest(ids, (self.dims.width, self.dims.height), self.size);
        let (width, height) = self.size();
        Ok((Pixels::new(width, height, Mode::L, ids)?, unscored))
    }

    /// The elements of one mask.
    fn part<'a, T>(&self, tensor: &HostTensor, values: &'a [T], index: usize) -> Result<&'a [T]> {
        let Dims {
            masks,
            channels,
            height,
            width,
        } = self.dims;
        let len = channels.saturating_mul(height).saturating_mul(width);
        let is_whole = values.len().is_multiple_of(len) && values.len() / len == masks;
        let part = values.chunks_exact(len).nth(index);
        part.filter(|_| is_whole).ok_or_else(|| Error::Length {
            shape: tensor.shape().to_vec(),
            given: values.len(),
        })
    }

    fn best<T: Sample>(&self, scores: &[T], index: usize) -> Result<(Vec<u8>, u64)> {
        let Best { classes, unscored } = match self.layout {
            Layout::Chw => argmax_planes(scores, self.dims.height * self.dims.width),
            Layout::Hwc => argmax_pixels(scores, self.dims.channels),
        };
        Ok((self.ids(&classes, index)?, unscored))
    }

    fn ids<T: Integer>(&self, values: &[T], index: usize) -> Result<Vec<u8>> {
        let table = self.remap.table();
        let mut ids = Vec::with_capacity(values.len());
        for (at, value) in values.iter().enumerate() {
            let id = match value.byte() {
                Some(byte) => table[usize::from(byte)],
                None => self.beyond(value.wide(), at, index)?,
            };
            ids.push(id);
        }
        Ok(ids)
    }

    fn beyond(&self, id: i128, at: usize, index: usize) -> Result<u8> {
        self.remap.get(id).ok_or(Error::MaskId {
            id,
            row: at / self.dims.width,
            column: at % self.dims.width,
            mask: self.is_batch.then_some(index),
        })
    }
}

/// Channels, height and width.
fn image_dims(shape: [usize; 3], layout: Layout) -> (usize, usize, usize) {
    match (shape, layout) {
        ([channels, height, width], Layout::Chw) => (channels, height, width),
        ([height, width, channels], Layout::Hwc) => (channels, height, width),
    }
}

#[cfg(test)]
mod tests;
