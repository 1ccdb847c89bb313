//! Where a picture comes from.

use std::sync::Arc;

use super::address;
use super::batch::Batch;
use super::joined::Joined;
use crate::decode::PictureFile;
use crate::error::{Error, Result};
use crate::pixels::{Mode, Observed, Pixels};

#[derive(Clone, Debug)]
pub(super) enum Source {
    Pixels(Arc<Pixels>),
    File(Arc<PictureFile>),
    Tensor {
        batch: Arc<Batch>,
        index: usize,
    },
    Joined(Arc<Joined>),
    /// A picture that stays where it is.
    Reference(Arc<str>),
    Refused {
        reason: Arc<Error>,
        width: u32,
        height: u32,
    },
}

impl Source {
    /// Width and height in pixels, where the picture is here.
    pub(super) fn size(&self) -> Option<(u32, u32)> {
        match self {
            Source::Pixels(pixels) => Some((pixels.width(), pixels.height())),
            Source::File(file) => Some((file.width(), file.height())),
            Source::Tensor { batch, .. } => Some(batch.plan().size()),
            Source::Joined(joined) => Some(joined.join().size()),
            Source::Reference(_) => None,
            Source::Refused { width, height, .. } => Some((*width, *height)),
        }
    }

    /// Of a picture without pixels, RGB.
    pub(super) fn mode(&self) -> Mode {
        match self {
            Source::Pixels(pixels) => pixels.mode(),
            Source::File(file) => file.mode(),
            Source::Tensor { batch, .. } => batch.plan().mode(),
            Source::Joined(joined) => joined.join().mode(),
            Source::Reference(_) | Source::Refused { .. } => Mode::Rgb,
        }
    }

    /// Refuses what has no pixels.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Source::Refused { reason, .. } => Err(Error::Shared(Arc::clone(reason))),
            Source::Reference(uri) => Err(not_here(uri)),
            _ => Ok(()),
        }
    }

    /// The memory that the picture holds until it is made, in bytes. What several images share
    /// has the same number in each.
    pub(super) fn held(&self) -> Vec<(usize, u64)> {
        match self {
            Source::Pixels(pixels) => {
                vec![(address(pixels), pixels.as_bytes().len() as u64)]
            }
            Source::File(file) => vec![(address(file), file.bytes().len() as u64)],
            Source::Tensor { batch, .. } => vec![(address(batch), batch.size_bytes())],
            Source::Joined(joined) => {
                let parts = joined.images().iter();
                parts.flat_map(|image| image.source.held()).collect()
            }
            Source::Reference(_) | Source::Refused { .. } => Vec::new(),
        }
    }

    pub(super) fn render(&self) -> Result<(Arc<Pixels>, Option<Observed>)> {
        match self {
            Source::Pixels(pixels) => Ok((Arc::clone(pixels), None)),
            Source::File(file) => Ok((Arc::new(file.pixels()?), None)),
            Source::Reference(uri) => Err(not_here(uri)),
            Source::Refused { reason, .. } => Err(Error::Shared(Arc::clone(reason))),
            Source::Tensor { batch, index } => {
                let (pixels, observed) = batch.render(*index)?;
                Ok((Arc::new(pixels), Some(observed)))
            }
            Source::Joined(joined) => {
                let (pixels, observed) = joined.render()?;
                Ok((Arc::new(pixels), observed))
            }
        }
    }

    /// Whether both are the same picture for sure: nothing is made.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Source::Pixels(one), Source::Pixels(other)) => Arc::ptr_eq(one, other),
            (Source::File(one), Source::File(other)) => Arc::ptr_eq(one, other),
            (Source::Joined(one), Source::Joined(other)) => Arc::ptr_eq(one, other),
            (Source::Reference(one), Source::Reference(other)) => one == other,
            (Source::Refused { reason: one, .. }, Source::Refused { reason: other, .. }) => {
                Arc::ptr_eq(one, other)
            }
            (
                Source::Tensor { batch, index },
                Source::Tensor {
                    batch: other,
                    index: other_index,
                },
            ) => Arc::ptr_eq(batch, other) && index == other_index,
            _ => false,
        }
    }
}

fn not_here(uri: &Arc<str>) -> Error {
    Error::Reference {
        uri: Arc::clone(uri).to_string(),
    }
}
