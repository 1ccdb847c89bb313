//! From a tensor on the host to pixels: pure functions, alike for every framework.
//!
//! A plan is made once, from the shape and the options, and finds every error that the
//! values can't cause. It then turns host tensors of that shape into [`Pixels`], together with
//! what was [`Observed`] of the values on the way.

mod deep;
mod grid;
mod ids;
mod interleave;
mod join;
mod layout;
mod mode;
mod normalize;
mod numbers;
mod plan;
mod range;
mod resize;
mod sample;
mod uint8;
mod vectorised;

pub use grid::Grid;
pub(crate) use ids::{MaskPlan, Remap};
pub(crate) use join::{Join, before, framed, observed as join_observed};
pub use layout::Layout;
pub use mode::Mode;
pub use normalize::Normalize;
pub(crate) use numbers::{Kind, floats, integers, told};
pub(crate) use plan::{Output, Plan, Treatment};
pub use range::Observed;
pub(crate) use range::Range;
pub use resize::Resize;
pub use uint8::to_uint8;

use crate::error::{Error, Result};
use crate::tensor::DType;

/// The greatest width or height of a picture, in pixels: the limit of W&B and of JPEG.
pub const MAX_DIMENSION: usize = 65_500;

/// The greatest size of a picture in memory, in bytes: 16,384 × 16,384 pixels with four channels.
pub const MAX_BYTES: u64 = 1 << 30;

/// The greatest size of a tensor on the host, in bytes: 4 GiB.
pub const MAX_TENSOR_BYTES: u64 = 4 << 30;

/// The images, or the masks, of one tensor at most.
pub const MAX_IMAGES: usize = 100_000;

/// What resizing a picture takes at most, besides the picture before and after.
const MAX_RESIZE_BYTES: u64 = 4 << 30;

/// Refuses a tensor that is too large before anything is allocated for it.
pub(crate) fn check_tensor(shape: &[usize], dtype: DType) -> Result<()> {
    let bytes = shape.iter().try_fold(dtype.size() as u64, |bytes, &dim| {
        bytes.checked_mul(dim as u64)
    });
    match bytes {
        Some(..=MAX_TENSOR_BYTES) => Ok(()),
        _ => Err(Error::TensorTooLarge {
            shape: shape.to_vec(),
            limit: "it takes over 4 GiB",
        }),
    }
}

/// Refuses a batch of more images, or masks, than one may have.
pub(crate) fn check_images(shape: &[usize], images: usize) -> Result<()> {
    match images {
        ..=MAX_IMAGES => Ok(()),
        _ => Err(Error::TensorTooLarge {
            shape: shape.to_vec(),
            limit: "it holds over 100,000 images or masks",
        }),
    }
}

/// Refuses a picture that is too large before anything is allocated for it.
pub(crate) fn check_size(width: usize, height: usize, bytes_per_pixel: usize) -> Result<()> {
    let limit = if width.max(height) > MAX_DIMENSION {
        "the greatest dimension is 65500"
    } else if width as u64 * height as u64 * bytes_per_pixel as u64 > MAX_BYTES {
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

/// A picture in memory: 8 bits per channel, or 16 in mode [`I16`](Mode::I16), rows top to bottom,
/// channels interleaved.
///
/// The number of bytes always is width × height ×
/// [`bytes_per_pixel`](Mode::bytes_per_pixel): it can't be built otherwise.
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
    /// A picture of `width` × `height` pixels from its bytes; 16 bits are two of them, the lower
    /// one first.
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
        check_size(w, h, mode.bytes_per_pixel())?;
        let expected = w * h * mode.bytes_per_pixel();
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

    /// A grey picture of 16 bits, mode [`I16`](Mode::I16), from its samples: 0 is black, 65,535
    /// white.
    ///
    /// ```
    /// use wandb_image::{Image, Mode, Pixels};
    ///
    /// let depth = Pixels::from_u16(2, 1, vec![850, 40_000])?;
    /// assert_eq!(depth.mode(), Mode::I16);
    /// assert!(depth.samples().eq([850, 40_000]));
    /// let image = Image::from(depth).caption("millimetres");
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), which counts two bytes a sample.
    pub fn from_u16(width: u32, height: u32, samples: Vec<u16>) -> Result<Self> {
        Self::new(width, height, Mode::I16, deep::to_bytes(samples))
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

    /// The bytes, row by row, channels interleaved: Pillow's `tobytes()`. 16 bits are two of them,
    /// the lower one first.
    pub fn as_bytes(&self) -> &[u8] {
        &self.data
    }

    /// The bytes, given away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.data
    }

    /// The value of each channel of each pixel, row by row, channels interleaved: up to 255, or
    /// up to 65,535 in mode [`I16`](Mode::I16).
    ///
    /// ```
    /// use wandb_image::{Mode, Pixels};
    ///
    /// let grey = Pixels::new(2, 1, Mode::I16, vec![7, 0, 0, 1])?;
    /// assert_eq!(Vec::from_iter(grey.samples()), [7, 256]);
    /// let red = Pixels::new(1, 1, Mode::Rgb, vec![255, 0, 0])?;
    /// assert_eq!(Vec::from_iter(red.samples()), [255, 0, 0]);
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn samples(&self) -> impl Iterator<Item = u16> + '_ {
        self.data
            .chunks_exact(self.mode.bytes_per_channel())
            .map(|bytes| {
                bytes
                    .iter()
                    .rfold(0, |sum, &byte| sum << 8 | u16::from(byte))
            })
    }

    /// The same picture in another mode, as Pillow's `Image.convert` gives it: grey is the luma of
    /// ITU-R 601-2, alpha is opaque where there was none and is left out where there shall be
    /// none, 8 bits keep their numbers in 16, and 16 bits over 255 become 255.
    ///
    /// ```
    /// use wandb_image::{Mode, Pixels};
    ///
    /// let orange = Pixels::new(1, 1, Mode::Rgb, vec![200, 100, 50])?;
    /// assert_eq!(orange.convert(Mode::La).as_bytes(), [124, 255]);
    /// let deep = Pixels::from_u16(3, 1, vec![7, 255, 256])?;
    /// assert_eq!(deep.convert(Mode::L).as_bytes(), [7, 255, 255]);
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    #[must_use]
    pub fn convert(self, mode: Mode) -> Self {
        Self {
            data: mode::convert(self.data, self.mode, mode),
            mode,
            ..self
        }
    }
}

impl std::fmt::Debug for Pixels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pixels({}×{} {})", self.width, self.height, self.mode)
    }
}
