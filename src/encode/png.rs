//! PNG, by the `png` crate.

use std::borrow::Cow;

use png::{BitDepth, ColorType, DeflateCompression, Encoder, Filter};

use super::{PngEffort, failed};
use crate::error::Result;
use crate::pixels::{Mode, Pixels};

/// How the bytes are filtered and compressed.
type Way = (DeflateCompression, Filter);

const FAST: Way = (DeflateCompression::FdeflateUltraFast, Filter::Adaptive);
const BALANCED: Way = (DeflateCompression::Level(5), Filter::Adaptive);
/// None of them is the smallest for all pictures.
const BEST: [Way; 4] = [
    FAST,
    BALANCED,
    (DeflateCompression::Level(9), Filter::Adaptive),
    // Where few colours repeat, as in text and masks.
    (DeflateCompression::Level(9), Filter::NoFilter),
];

pub(super) fn encode(pixels: &Pixels, effort: PngEffort) -> Result<Vec<u8>> {
    let data = data(pixels);
    match effort {
        PngEffort::Auto if is_flat(pixels) => encode_as(pixels, &data, BALANCED),
        PngEffort::Auto | PngEffort::Fast => encode_as(pixels, &data, FAST),
        PngEffort::Balanced => encode_as(pixels, &data, BALANCED),
        PngEffort::Best => smallest(pixels, &data),
    }
}

/// The bytes as PNG has them: 16 bits with the higher byte first.
fn data(pixels: &Pixels) -> Cow<'_, [u8]> {
    match pixels.mode() {
        Mode::I16 => {
            let (samples, _) = pixels.as_bytes().as_chunks();
            samples
                .iter()
                .flat_map(|&[low, high]| [high, low])
                .collect()
        }
        Mode::L | Mode::La | Mode::Rgb | Mode::Rgba => pixels.as_bytes().into(),
    }
}

fn smallest(pixels: &Pixels, data: &[u8]) -> Result<Vec<u8>> {
    let mut smallest = encode_as(pixels, data, BEST[0])?;
    for way in &BEST[1..] {
        let other = encode_as(pixels, data, *way)?;
        if other.len() < smallest.len() {
            smallest = other;
        }
    }
    Ok(smallest)
}

fn encode_as(pixels: &Pixels, data: &[u8], way: Way) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(data.len() / 2 + 1024);
    write(pixels, data, way, &mut bytes).map_err(|source| failed(pixels, "png", source))?;
    Ok(bytes)
}

fn write(
    pixels: &Pixels,
    data: &[u8],
    (compression, filter): Way,
    bytes: &mut Vec<u8>,
) -> Result<(), png::EncodingError> {
    let mut encoder = Encoder::new(bytes, pixels.width(), pixels.height());
    encoder.set_color(color_type(pixels.mode()));
    encoder.set_depth(bit_depth(pixels.mode()));
    encoder.set_deflate_compression(compression);
    encoder.set_filter(filter);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(data)?;
    writer.finish()
}

fn color_type(mode: Mode) -> ColorType {
    match mode {
        Mode::L | Mode::I16 => ColorType::Grayscale,
        Mode::La => ColorType::GrayscaleAlpha,
        Mode::Rgb => ColorType::Rgb,
        Mode::Rgba => ColorType::Rgba,
    }
}

fn bit_depth(mode: Mode) -> BitDepth {
    match mode {
        Mode::I16 => BitDepth::Sixteen,
        Mode::L | Mode::La | Mode::Rgb | Mode::Rgba => BitDepth::Eight,
    }
}

/// Rows looked at to tell whether a picture is flat.
const SAMPLED_ROWS: usize = 64;

/// In how many percent of its bytes a flat picture goes on as it did. Seen: 0 to 42 in photographs
/// and noise, 49 to 100 in drawings, text, masks, ramps and smooth functions.
const FLAT_PERCENT: usize = 45;

/// Whether longer repeats than a few bytes are worth looking for.
fn is_flat(pixels: &Pixels) -> bool {
    let bytes_per_pixel = pixels.mode().bytes_per_pixel();
    let row_len = pixels.width() as usize * bytes_per_pixel;
    // Odd, so that lines of text and tiles, often an even number of rows high, are met everywhere.
    let step = (pixels.height() as usize).div_ceil(SAMPLED_ROWS) | 1;
    let rows = pixels.as_bytes().chunks_exact(row_len).step_by(step);
    let counts = rows.map(|row| steady_bytes(row, bytes_per_pixel));
    let (steady, all) = counts.fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1));
    steady * 100 > all * FLAT_PERCENT
}

/// The bytes that differ from the pixel before as that one does from its own; and the bytes of
/// which this can be said.
fn steady_bytes(row: &[u8], bytes_per_pixel: usize) -> (usize, usize) {
    let len = row.len().saturating_sub(2 * bytes_per_pixel);
    if len == 0 {
        return (0, 0);
    }
    let [a, b, c] = [0, 1, 2].map(|pixel| &row[pixel * bytes_per_pixel..][..len]);
    let mut steady = 0_u32;
    for ((a, b), c) in a.iter().zip(b).zip(c) {
        steady += u32::from(c.wrapping_sub(*b) == b.wrapping_sub(*a));
    }
    (steady as usize, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EFFORTS: [PngEffort; 4] = [
        PngEffort::Auto,
        PngEffort::Fast,
        PngEffort::Balanced,
        PngEffort::Best,
    ];
    const MODES: [Mode; 5] = [Mode::L, Mode::I16, Mode::La, Mode::Rgb, Mode::Rgba];

    fn picture((width, height): (u32, u32), mode: Mode, byte: impl FnMut(usize) -> u8) -> Pixels {
        let len = (width * height) as usize * mode.bytes_per_pixel();
        Pixels::new(width, height, mode, (0..len).map(byte).collect()).unwrap()
    }

    fn noise(size: (u32, u32), mode: Mode) -> Pixels {
        let mut random = fastrand::Rng::with_seed(7);
        picture(size, mode, |_| random.u8(..))
    }

    /// Brightness that wanders, with grain: what a photograph is to a codec.
    fn grainy(size: (u32, u32)) -> Pixels {
        let mut random = fastrand::Rng::with_seed(8);
        picture(size, Mode::Rgb, |i| {
            let slope = (i % 3 + 1) * (i / 3 % 256) / 4;
            (slope as u8 / 2).wrapping_add(random.u8(..12))
        })
    }

    /// Squares of a few colours.
    fn squares(size: (u32, u32), mode: Mode) -> Pixels {
        let (width, step) = (size.0 as usize, mode.bytes_per_pixel());
        picture(size, mode, |i| {
            let (x, y) = (i / step % width, i / step / width);
            ((x / 24 * 7 + y / 24 * 5) % 6 * 40 + i % step) as u8
        })
    }

    fn ramp(size: (u32, u32)) -> Pixels {
        let width = size.0 as usize;
        picture(size, Mode::L, |i| (i % width + i / width) as u8)
    }

    fn size(pixels: &Pixels, effort: PngEffort) -> usize {
        encode(pixels, effort).unwrap().len()
    }

    fn check(pixels: &Pixels) {
        for effort in EFFORTS {
            let file = encode(pixels, effort).unwrap();
            let read = image::load_from_memory(&file).unwrap();
            let read = crate::decode::pixels_from_dynamic(read).unwrap();
            assert_eq!(&read, pixels, "{effort:?}");
            assert_eq!(encode(pixels, effort).unwrap(), file, "{effort:?}");
            assert!(size(pixels, PngEffort::Best) <= file.len(), "{effort:?}");
        }
    }

    #[test]
    fn every_effort_is_lossless_and_repeatable_and_best_is_the_smallest() {
        for size in [(1, 1), (1, 9), (9, 1), (2, 2), (37, 23), (128, 130)] {
            for mode in MODES {
                check(&noise(size, mode));
                check(&squares(size, mode));
                check(&picture(size, mode, |_| 77));
            }
        }
        check(&grainy((65, 67)));
    }

    #[test]
    fn auto_is_small_on_what_is_flat() {
        let flat = [
            squares((256, 256), Mode::Rgb),
            squares((32, 32), Mode::L),
            ramp((200, 100)),
            picture((64, 64), Mode::Rgba, |_| 255),
        ];
        for pixels in flat {
            let auto = size(&pixels, PngEffort::Auto);
            assert!(auto <= size(&pixels, PngEffort::Balanced), "{pixels:?}");
            assert!(auto < size(&pixels, PngEffort::Fast), "{pixels:?}");
        }
    }

    #[test]
    fn auto_is_quick_on_what_is_like_a_photograph_and_little_larger() {
        for pixels in [
            grainy((256, 256)),
            grainy((32, 32)),
            noise((64, 64), Mode::Rgb),
        ] {
            let auto = encode(&pixels, PngEffort::Auto).unwrap();
            assert!(
                auto == encode(&pixels, PngEffort::Fast).unwrap(),
                "{pixels:?}"
            );
            let best = size(&pixels, PngEffort::Best);
            assert!(auto.len() * 100 <= best * 125, "{pixels:?}: {best}");
        }
    }

    #[test]
    fn more_effort_is_a_smaller_file() {
        let pixels = squares((300, 200), Mode::Rgb);
        let [_, fast, balanced, best] = EFFORTS.map(|effort| size(&pixels, effort));
        assert!(
            best < balanced && balanced < fast,
            "{fast} {balanced} {best}"
        );
    }
}
