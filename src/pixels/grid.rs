//! Several pictures as one: torchvision's `make_grid`.

use crate::error::{Error, Result};

/// How the images of a batch are laid out as one picture, as torchvision's `make_grid` does it.
///
/// A batch of one is that image alone, without padding.
///
/// ```
/// use wandb_image::Grid;
///
/// let grid = Grid::new().nrow(4).padding(1).pad_value(1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
#[must_use]
pub struct Grid {
    pub(super) nrow: usize,
    pub(super) padding: usize,
    pub(super) pad_value: f64,
}

impl Default for Grid {
    fn default() -> Self {
        Self {
            nrow: 8,
            padding: 2,
            pad_value: 0.0,
        }
    }
}

impl Grid {
    /// Eight images a row, 2 pixels of black around each.
    pub fn new() -> Self {
        Self::default()
    }

    /// Images a row (torchvision's name for it). 8 by default; fewer where the batch is smaller.
    pub fn nrow(mut self, images: usize) -> Self {
        self.nrow = images;
        self
    }

    /// Pixels between the images and around them. 2 by default.
    pub fn padding(mut self, pixels: usize) -> Self {
        self.padding = pixels;
        self
    }

    /// The brightness of the padding, from 0 (black, the default) to 1 (white).
    pub fn pad_value(mut self, value: f64) -> Self {
        self.pad_value = value;
        self
    }

    pub(super) fn check(self) -> Result<()> {
        if self.nrow == 0 {
            return Err(Error::Option {
                option: "the grid's nrow",
                given: "0".into(),
                expected: "it is the number of images in a row: at least 1".into(),
            });
        }
        if !(0.0..=1.0).contains(&self.pad_value) {
            return Err(Error::Option {
                option: "the grid's pad_value",
                given: self.pad_value.to_string(),
                expected: "it must be from 0 (black) to 1 (white)".into(),
            });
        }
        Ok(())
    }

    /// Where `images` pictures of one size go.
    pub(super) fn place(self, images: usize, (width, height): (usize, usize)) -> Placement {
        if images == 1 {
            return Placement {
                columns: 1,
                padding: 0,
                pitch: (width, height),
                size: (width, height),
            };
        }
        let columns = self.nrow.min(images);
        let rows = images.div_ceil(columns);
        let pitch = (
            width.saturating_add(self.padding),
            height.saturating_add(self.padding),
        );
        let side = |n: usize, pitch: usize| n.saturating_mul(pitch).saturating_add(self.padding);
        Placement {
            columns,
            padding: self.padding,
            pitch,
            size: (side(columns, pitch.0), side(rows, pitch.1)),
        }
    }
}

/// The places of a grid, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Placement {
    columns: usize,
    padding: usize,
    /// From one image's corner to the next one's, across and down.
    pitch: (usize, usize),
    /// Width and height of the whole.
    pub(super) size: (usize, usize),
}

impl Placement {
    /// Copies the pixels of image `index`, `width` pixels a row, to their place.
    pub(super) fn paste(
        self,
        out: &mut [u8],
        index: usize,
        image: &[u8],
        width: usize,
        bytes_per_pixel: usize,
    ) {
        let left = (index % self.columns) * self.pitch.0 + self.padding;
        let top = (index / self.columns) * self.pitch.1 + self.padding;
        for (y, row) in image.chunks_exact(width * bytes_per_pixel).enumerate() {
            let start = ((top + y) * self.size.0 + left) * bytes_per_pixel;
            out[start..start + row.len()].copy_from_slice(row);
        }
    }
}
