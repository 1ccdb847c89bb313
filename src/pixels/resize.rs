//! Another size for a picture, by the `image` crate's filters where pixels are mixed.

use image::imageops::{self, FilterType};
use image::{ImageBuffer, Luma, LumaA, Pixel, Rgb, Rgba};

use super::{MAX_RESIZE_BYTES, Mode, deep};
use crate::error::{Error, Result};

/// Another size for each image, before it goes into a grid, or for a mask.
///
/// ```
/// use wandb_image::{HostTensor, ImageOptions, IntoWandbImage, Resize};
///
/// let digit = HostTensor::new([1, 8, 8], vec![0_u8; 64])?;
/// let options = ImageOptions::new().resize(Resize::Enlarge(6));
/// assert_eq!(digit.to_wandb_image_with(&options)?.width(), 48);
/// # Ok::<(), wandb_image::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resize {
    /// Each pixel becomes a square of this many pixels a side: small pictures, large and sharp.
    Enlarge(u32),
    /// This size in pixels, whatever the proportions: by the nearest pixel where neither side
    /// shrinks, else by a triangle filter, which averages. Masks always by the nearest pixel.
    To {
        /// Width in pixels, at least 1.
        width: u32,
        /// Height in pixels, at least 1.
        height: u32,
    },
}

impl Resize {
    /// The size that a picture of `width` × `height` comes to.
    pub(super) fn size(self, (width, height): (usize, usize)) -> Result<(usize, usize)> {
        let (width, height) = match self {
            Resize::Enlarge(factor) => (
                width.saturating_mul(factor as usize),
                height.saturating_mul(factor as usize),
            ),
            Resize::To { width, height } => (width as usize, height as usize),
        };
        if width == 0 || height == 0 {
            return Err(Error::Option {
                option: "resize",
                given: format!("{self:?}"),
                expected: "the factor, the width and the height must be at least 1".into(),
            });
        }
        Ok((width, height))
    }
}

/// Refuses what would take too much memory on the way: where pixels are mixed, `image` holds the
/// width before and the height after, four floats a pixel.
pub(super) fn check(from: (usize, usize), to: (usize, usize)) -> Result<()> {
    let on_the_way = (from.0 as u64)
        .saturating_mul(to.1 as u64)
        .saturating_mul(4 * size_of::<f32>() as u64);
    let fits = from.0.max(from.1) <= u32::MAX as usize && on_the_way <= MAX_RESIZE_BYTES;
    if fits || factors(from, to).is_some() {
        return Ok(());
    }
    Err(Error::TooLarge {
        width: from.0,
        height: from.1,
        limit: "to resize it takes over 4 GiB of memory",
    })
}

/// How many pixels across and down each becomes, where each becomes as many.
fn factors(from: (usize, usize), to: (usize, usize)) -> Option<(usize, usize)> {
    let factors = (to.0 / from.0, to.1 / from.1);
    ((from.0 * factors.0, from.1 * factors.1) == to).then_some(factors)
}

/// The size of a picture whose longer side is at most `max_side`, proportions kept.
pub(super) fn limited((width, height): (usize, usize), max_side: usize) -> (usize, usize) {
    let longer = width.max(height);
    if longer <= max_side {
        return (width, height);
    }
    let scaled = |side: usize| {
        let scaled = side as f64 * max_side as f64 / longer as f64;
        (scaled.round() as usize).max(1)
    };
    (scaled(width), scaled(height))
}

/// The pixels at another size.
pub(super) fn resize(
    data: Vec<u8>,
    mode: Mode,
    from: (usize, usize),
    to: (usize, usize),
) -> Vec<u8> {
    let shrinks = to.0 < from.0 || to.1 < from.1;
    let filter = if shrinks {
        FilterType::Triangle
    } else {
        FilterType::Nearest
    };
    resize_by(filter, data, mode, from, to)
}

/// The ids of a mask at another size: none that wasn't there before.
pub(super) fn nearest(ids: Vec<u8>, from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    resize_by(FilterType::Nearest, ids, Mode::L, from, to)
}

fn resize_by(
    filter: FilterType,
    data: Vec<u8>,
    mode: Mode,
    from: (usize, usize),
    to: (usize, usize),
) -> Vec<u8> {
    if from == to {
        return data;
    }
    if let Some(factors) = factors(from, to) {
        let bytes_per_pixel = mode.bytes_per_pixel();
        return enlarge(&data, from.0 * bytes_per_pixel, bytes_per_pixel, factors);
    }
    match mode {
        Mode::L => resize_as::<Luma<u8>>(filter, data, from, to),
        Mode::I16 => {
            let samples = deep::from_bytes(&data);
            deep::to_bytes(resize_as::<Luma<u16>>(filter, samples, from, to))
        }
        Mode::La => resize_as::<LumaA<u8>>(filter, data, from, to),
        Mode::Rgb => resize_as::<Rgb<u8>>(filter, data, from, to),
        Mode::Rgba => resize_as::<Rgba<u8>>(filter, data, from, to),
    }
}

/// The nearest pixel, where each becomes as many as any other: rows of `row_len` bytes.
fn enlarge(
    data: &[u8],
    row_len: usize,
    bytes_per_pixel: usize,
    (across, down): (usize, usize),
) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() * across * down);
    for row in data.chunks_exact(row_len) {
        let start = out.len();
        for pixel in row.chunks_exact(bytes_per_pixel) {
            (0..across).for_each(|_| out.extend_from_slice(pixel));
        }
        let end = out.len();
        (1..down).for_each(|_| out.extend_from_within(start..end));
    }
    out
}

fn resize_as<P: Pixel + 'static>(
    filter: FilterType,
    data: Vec<P::Subpixel>,
    from: (usize, usize),
    to: (usize, usize),
) -> Vec<P::Subpixel> {
    let picture = ImageBuffer::<P, _>::from_raw(from.0 as u32, from.1 as u32, data);
    let resized = picture.map(|p| imageops::resize(&p, to.0 as u32, to.1 as u32, filter));
    resized.map(ImageBuffer::into_raw).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enlarging_keeps_each_pixel_sharp() {
        let enlarged = resize(vec![1, 2], Mode::L, (2, 1), (4, 2));
        assert_eq!(enlarged, [1, 1, 2, 2, 1, 1, 2, 2]);
    }

    #[test]
    fn enlarging_by_whole_numbers_takes_the_nearest_pixel() {
        let data: Vec<u8> = (0..3 * 5 * 7).collect();
        let (from, to) = ((5, 7), (15, 14));
        let enlarged = resize(data.clone(), Mode::Rgb, from, to);
        let filtered = resize_as::<Rgb<u8>>(FilterType::Nearest, data, from, to);
        assert_eq!(enlarged, filtered);
    }

    /// The nearest pixel of a row that becomes `to` long, as a mask's is chosen.
    fn nearest_of(row: &[u8], to: usize) -> Vec<u8> {
        let at = |x| (2 * x + 1) * row.len() / (2 * to);
        (0..to).map(|x| row[at(x)]).collect()
    }

    #[test]
    fn ids_are_never_mixed() {
        let row: Vec<u8> = (0..10).map(|i| i * 25).collect();
        for to in 1..40 {
            assert_eq!(nearest(row.clone(), (10, 1), (to, 1)), nearest_of(&row, to));
            assert_eq!(nearest(row.clone(), (1, 10), (1, to)), nearest_of(&row, to));
        }
        let square = nearest(vec![0, 200, 7, 255], (2, 2), (3, 1));
        assert_eq!(square, [7, 255, 255]);
    }

    #[test]
    fn a_mask_grows_as_its_picture_does() {
        let picture: Vec<u8> = (0..5 * 7).collect();
        for to in [(5, 7), (10, 21), (6, 7), (13, 50)] {
            let ids = nearest(picture.clone(), (5, 7), to);
            assert_eq!(ids, resize(picture.clone(), Mode::L, (5, 7), to));
        }
    }

    #[test]
    fn shrinking_averages() {
        assert_eq!(resize(vec![0, 100, 0, 100], Mode::L, (2, 2), (1, 1)), [50]);
    }

    #[test]
    fn sixteen_bits_stay_sixteen_bits() {
        let check = |samples: &[u16], from, to, expected: &[u16]| {
            let data = resize(deep::to_bytes(samples.to_vec()), Mode::I16, from, to);
            assert_eq!(deep::from_bytes(&data), expected);
        };
        check(&[1, 65_535], (2, 1), (4, 1), &[1, 1, 65_535, 65_535]);
        check(&[300, 40_000], (1, 2), (1, 3), &[300, 40_000, 40_000]);
        check(&[0, 40_001, 0, 40_001], (2, 2), (1, 1), &[20_001]);
        check(&[65_535; 6], (3, 2), (2, 1), &[65_535; 2]);
    }

    #[test]
    fn a_longer_side_is_limited_and_the_other_follows() {
        assert_eq!(limited((1000, 500), 100), (100, 50));
        assert_eq!(limited((3, 2), 100), (3, 2));
        assert_eq!(limited((60_000, 10), 100), (100, 1));
    }
}
