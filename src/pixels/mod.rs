//! From a tensor on the host to pixels: pure functions, alike for every framework.
//!
//! A plan is made once, from the shape and the options, and finds every error that the
//! values can't cause. It then turns host tensors of that shape into [`Pixels`], together with
//! what was [`Observed`] of the values on the way.

mod grid;
mod interleave;
mod join;
mod layout;
mod mode;
mod normalize;
mod plan;
mod range;
mod resize;
mod sample;
mod vectorised;

pub use grid::Grid;
pub(crate) use join::{Join, observed as join_observed};
pub use layout::Layout;
pub use mode::Mode;
pub use normalize::Normalize;
pub(crate) use plan::{Output, Plan, Treatment};
pub use range::Observed;
pub(crate) use range::Range;
pub use resize::Resize;

use crate::error::{Error, Result};

/// The greatest width or height of a picture, in pixels: the limit of W&B and of JPEG.
pub const MAX_DIMENSION: usize = 65_500;

/// The greatest size of a picture in memory, in bytes: 16,384 × 16,384 pixels with four channels.
pub const MAX_BYTES: u64 = 1 << 30;

/// Refuses a picture that is too large before anything is allocated for it.
fn check_size(width: usize, height: usize, channels: usize) -> Result<()> {
    let limit = if width.max(height) > MAX_DIMENSION {
        "the greatest dimension is 65500"
    } else if width as u64 * height as u64 * channels as u64 > MAX_BYTES {
        "the greatest size in memory is 1 GiB"
    } else {
        return Ok(());
    };
    Err(Error::TooLarge {
        width,
        height,
        limit,
    })
}

/// A picture in memory: 8 bits per channel, rows top to bottom, channels interleaved.
///
/// The number of bytes always is width × height × channels: it can't be built otherwise.
///
/// ```
/// use wandb_image::{Mode, Pixels};
///
/// let red = Pixels::new(2, 1, Mode::Rgb, vec![255, 0, 0, 255, 0, 0])?;
/// assert_eq!((red.width(), red.height()), (2, 1));
/// # Ok::<(), wandb_image::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Pixels {
    width: u32,
    height: u32,
    mode: Mode,
    data: Vec<u8>,
}

impl Pixels {
    /// A picture of `width` × `height` pixels from its bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] for a side of 0, [`Error::TooLarge`] for one over [`MAX_DIMENSION`] or a
    /// picture over [`MAX_BYTES`],
    /// [`Error::PixelCount`] for a wrong number of bytes.
    pub fn new(width: u32, height: u32, mode: Mode, data: Vec<u8>) -> Result<Self> {
        let (w, h) = (width as usize, height as usize);
        if w == 0 || h == 0 {
            let shape = vec![h, w, mode.channels()];
            return Err(Error::Empty { shape });
        }
        check_size(w, h, mode.channels())?;
        let expected = w * h * mode.channels();
        if data.len() != expected {
            return Err(Error::PixelCount {
                width,
                height,
                mode: mode.name(),
                expected,
                given: data.len(),
            });
        }
        Ok(Self {
            width,
            height,
            mode,
            data,
        })
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The channels.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The bytes, row by row, channels interleaved.
    pub fn as_bytes(&self) -> &[u8] {
        &self.data
    }

    /// The bytes, given away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.data
    }
}

impl std::fmt::Debug for Pixels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pixels({}×{} {})", self.width, self.height, self.mode)
    }
}
