//! The channels of a picture, by PIL's names, and Pillow's conversions between them.

/// The channels of a picture: PIL's mode.
///
/// Guessed from the channels of a tensor (1 → L, 3 → RGB, 4 → RGBA), or set by
/// [`ImageOptions::mode`](crate::ImageOptions::mode). Where the two differ, the pixels are
/// converted as Pillow's `convert` does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Grey: one channel.
    L,
    /// Grey with alpha: two channels. PNG only.
    #[doc(alias = "LA")]
    La,
    /// Red, green, blue.
    #[doc(alias = "RGB")]
    Rgb,
    /// Red, green, blue, alpha.
    #[doc(alias = "RGBA")]
    Rgba,
}

impl Mode {
    /// Bytes per pixel.
    pub const fn channels(self) -> usize {
        match self {
            Mode::L => 1,
            Mode::La => 2,
            Mode::Rgb => 3,
            Mode::Rgba => 4,
        }
    }

    /// PIL's name.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::L => "L",
            Mode::La => "LA",
            Mode::Rgb => "RGB",
            Mode::Rgba => "RGBA",
        }
    }

    /// The mode with this number of channels.
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
    use Mode::{L, La, Rgb, Rgba};
    match (from, to) {
        (L, L) | (La, La) | (Rgb, Rgb) | (Rgba, Rgba) => data,
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
}
