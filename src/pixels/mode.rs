//! The channels of a picture, by PIL's names, and Pillow's conversions between them.

use super::layout::Layout;
use super::plan;
use crate::error::Result;

/// The channels of a picture and their bits: PIL's mode.
///
/// Guessed from the channels of a tensor (1 → L, 3 → RGB, 4 → RGBA), or set by
/// [`ImageOptions::mode`](crate::ImageOptions::mode). Where the two differ, the pixels are
/// converted as Pillow's `convert` does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Grey: one channel of 8 bits.
    L,
    /// Grey of 16 bits: one channel, from 0 (black) to 65,535 (white). PNG only.
    ///
    /// Only on request: of integers and booleans, which are taken as they are
    /// ([`ImageOptions::mode`](crate::ImageOptions::mode)), of a picture file, or of
    /// [`Pixels::from_u16`](crate::Pixels::from_u16).
    #[doc(alias = "I;16")]
    I16,
    /// Grey with alpha: two channels of 8 bits. PNG only.
    #[doc(alias = "LA")]
    La,
    /// Red, green, blue, 8 bits each.
    #[doc(alias = "RGB")]
    Rgb,
    /// Red, green, blue, alpha, 8 bits each.
    #[doc(alias = "RGBA")]
    Rgba,
}

impl Mode {
    /// What a tensor of this shape is a picture of: L for rank 2 or one channel, RGB for 3
    /// channels, RGBA for 4. `Image.guess_mode` in Python.
    ///
    /// ```
    /// use wandb_image::{Layout, Mode};
    ///
    /// assert_eq!(Mode::guess(&[28, 28], Layout::Chw)?, Mode::L);
    /// assert_eq!(Mode::guess(&[16, 3, 32, 32], Layout::Chw)?, Mode::Rgb);
    /// assert_eq!(Mode::guess(&[32, 32, 4], Layout::Hwc)?, Mode::Rgba);
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Rank`](crate::Error::Rank), [`Error::Empty`](crate::Error::Empty), and
    /// [`Error::Channels`](crate::Error::Channels) for any other number of channels.
    #[doc(alias = "guess_mode")]
    pub fn guess(shape: &[usize], layout: Layout) -> Result<Self> {
        plan::guess_mode(shape, layout)
    }

    /// The number of channels: 1 to 4.
    pub const fn channels(self) -> usize {
        match self {
            Mode::L | Mode::I16 => 1,
            Mode::La => 2,
            Mode::Rgb => 3,
            Mode::Rgba => 4,
        }
    }

    /// Bytes of one channel of a pixel: 2 for [`I16`](Self::I16), else 1.
    pub(super) const fn bytes_per_channel(self) -> usize {
        match self {
            Mode::I16 => 2,
            Mode::L | Mode::La | Mode::Rgb | Mode::Rgba => 1,
        }
    }

    /// Bytes of a pixel: as many as channels, but 2 for [`I16`](Self::I16).
    ///
    /// ```
    /// use wandb_image::Mode;
    ///
    /// assert_eq!(Mode::Rgb.bytes_per_pixel(), 3);
    /// assert_eq!((Mode::I16.channels(), Mode::I16.bytes_per_pixel()), (1, 2));
    /// ```
    pub const fn bytes_per_pixel(self) -> usize {
        self.channels() * self.bytes_per_channel()
    }

    /// PIL's name.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::L => "L",
            Mode::I16 => "I;16",
            Mode::La => "LA",
            Mode::Rgb => "RGB",
            Mode::Rgba => "RGBA",
        }
    }

    /// The mode with this number of channels of 8 bits.
    pub(super) const fn of_channels(channels: usize) -> Option<Self> {
        match channels {
            1 => Some(Mode::L),
            2 => Some(Mode::La),
            3 => Some(Mode::Rgb),
            4 => Some(Mode::Rgba),
            _ => None,
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The same pixels in another mode, as Pillow's `Image.convert` gives them.
pub(super) fn convert(data: Vec<u8>, from: Mode, to: Mode) -> Vec<u8> {
    use Mode::{I16, L, La, Rgb, Rgba};
    match (from, to) {
        (L, L) | (I16, I16) | (La, La) | (Rgb, Rgb) | (Rgba, Rgba) => data,
        (I16, L) => map(&data, |&sample| [clipped(sample)]),
        (I16, La) => map(&data, |&sample| [clipped(sample), 255]),
        (I16, Rgb) => map(&data, |&sample| [clipped(sample); 3]),
        (I16, Rgba) => map(&data, |&sample| {
            let l = clipped(sample);
            [l, l, l, 255]
        }),
        (L, I16) => map(&data, |&[l]| [l, 0]),
        (La, I16) => map(&data, |&[l, _]| [l, 0]),
        (Rgb, I16) => map(&data, |&[r, g, b]| [luma(r, g, b), 0]),
        (Rgba, I16) => map(&data, |&[r, g, b, _]| [luma(r, g, b), 0]),
        (L, La) => map(&data, |&[l]| [l, 255]),
        (L, Rgb) => map(&data, |&[l]| [l, l, l]),
        (L, Rgba) => map(&data, |&[l]| [l, l, l, 255]),
        (La, L) => map(&data, |&[l, _]| [l]),
        (La, Rgb) => map(&data, |&[l, _]| [l, l, l]),
        (La, Rgba) => map(&data, |&[l, a]| [l, l, l, a]),
        (Rgb, L) => map(&data, |&[r, g, b]| [luma(r, g, b)]),
        (Rgb, La) => map(&data, |&[r, g, b]| [luma(r, g, b), 255]),
        (Rgb, Rgba) => map(&data, |&[r, g, b]| [r, g, b, 255]),
        (Rgba, L) => map(&data, |&[r, g, b, _]| [luma(r, g, b)]),
        (Rgba, La) => map(&data, |&[r, g, b, a]| [luma(r, g, b), a]),
        (Rgba, Rgb) => map(&data, |&[r, g, b, _]| [r, g, b]),
    }
}

fn map<const FROM: usize, const TO: usize>(
    data: &[u8],
    f: impl Fn(&[u8; FROM]) -> [u8; TO],
) -> Vec<u8> {
    let (pixels, _) = data.as_chunks::<FROM>();
    pixels.iter().flat_map(f).collect()
}

/// Of 16 bits, little-endian: Pillow clips them, it doesn't scale them.
fn clipped([low, high]: [u8; 2]) -> u8 {
    if high == 0 { low } else { 255 }
}

/// ITU-R 601-2 luma in 16-bit fixed point: Pillow's `L24` macro (`libImaging/Convert.c`).
fn luma(r: u8, g: u8, b: u8) -> u8 {
    let sum = u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471;
    ((sum + 0x8000) >> 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: Mode, to: Mode, data: &[u8], expected: &[u8]) {
        assert_eq!(convert(data.to_vec(), from, to), expected, "{from} → {to}");
    }

    #[test]
    fn modes_convert_as_in_pillow() {
        // Pillow 11: Image.new("RGB", (1, 1), (200, 100, 50)).convert("L").getpixel((0, 0)) == 124
        check(Mode::Rgb, Mode::L, &[200, 100, 50], &[124]);
        check(Mode::Rgba, Mode::L, &[200, 100, 50, 7], &[124]);
        check(Mode::Rgba, Mode::La, &[200, 100, 50, 7], &[124, 7]);
        check(Mode::Rgba, Mode::Rgb, &[200, 100, 50, 7], &[200, 100, 50]);
        check(Mode::L, Mode::Rgba, &[9, 8], &[9, 9, 9, 255, 8, 8, 8, 255]);
        check(Mode::La, Mode::Rgba, &[9, 3], &[9, 9, 9, 3]);
        check(Mode::Rgb, Mode::L, &[255, 255, 255], &[255]);
    }

    #[test]
    fn sixteen_bits_are_clipped_to_eight_as_in_pillow() {
        // Pillow 12 and 13: 0, 255, 256 and 65535 of mode I;16.
        let sixteen = [0, 0, 255, 0, 0, 1, 255, 255];
        check(Mode::I16, Mode::L, &sixteen, &[0, 255, 255, 255]);
        check(Mode::I16, Mode::La, &[7, 0, 0, 7], &[7, 255, 255, 255]);
        check(Mode::I16, Mode::Rgb, &[7, 0], &[7, 7, 7]);
        check(Mode::I16, Mode::Rgba, &[7, 0], &[7, 7, 7, 255]);
        check(Mode::L, Mode::I16, &[0, 255], &[0, 0, 255, 0]);
        check(Mode::La, Mode::I16, &[9, 3], &[9, 0]);
        check(Mode::Rgb, Mode::I16, &[200, 100, 50], &[124, 0]);
        check(Mode::Rgba, Mode::I16, &[200, 100, 50, 7], &[124, 0]);
    }

    #[test]
    fn a_mode_is_guessed_from_the_channels() {
        for (shape, layout, expected) in [
            (&[5, 7][..], Layout::Chw, Mode::L),
            (&[5, 7], Layout::Hwc, Mode::L),
            (&[1, 5, 7], Layout::Chw, Mode::L),
            (&[5, 7, 1], Layout::Hwc, Mode::L),
            (&[3, 5, 7], Layout::Chw, Mode::Rgb),
            (&[2, 5, 7, 3], Layout::Hwc, Mode::Rgb),
            (&[2, 4, 5, 7], Layout::Chw, Mode::Rgba),
        ] {
            assert_eq!(Mode::guess(shape, layout).unwrap(), expected, "{shape:?}");
        }
        for (shape, expected) in [
            (&[5][..], "has rank 1"),
            (&[1, 0, 7], "is empty"),
            (&[2, 5, 7], "has 2 channels"),
            (&[5, 7, 3], "Layout::Hwc"),
        ] {
            let error = Mode::guess(shape, Layout::Chw).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
