//! From pixels to the bytes of a picture file: one codec a file, each a pure function.

mod bmp;
mod jpeg;
mod png;

use crate::error::{Error, Result};
use crate::pixels::{Mode, Pixels};

/// The format of a picture file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileType {
    /// Lossless; the default.
    #[default]
    Png,
    /// Lossy and small. Has no transparency: alpha is dropped, with a warning.
    Jpg {
        /// 1 (smallest) to 100 (best). Pillow, and with it the Python SDK, takes 75.
        quality: u8,
    },
    /// Uncompressed.
    Bmp,
}

/// How much work goes into a small PNG file; every effort is lossless. Means nothing for the other
/// formats.
///
/// Set by [`ImageOptions::png_effort`](crate::ImageOptions::png_effort) or
/// [`Image::png_effort`](crate::Image::png_effort).
///
/// ```
/// use wandb_image::{Image, Mode, Pixels, PngEffort};
///
/// let pixels = Pixels::new(2, 2, Mode::L, vec![0, 85, 170, 255])?;
/// let image = Image::from(pixels).png_effort(PngEffort::Best);
/// # Ok::<(), wandb_image::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PngEffort {
    /// [`Fast`](Self::Fast) where the picture is like a photograph or noise, in which more effort
    /// saves little, and [`Balanced`](Self::Balanced) where it is flat or smooth: drawings,
    /// text, masks, ramps. The picture alone decides. The default.
    #[default]
    Auto,
    /// The quickest: about a tenth larger than Pillow's default on photographs, up to thirty times
    /// larger on flat pictures.
    Fast,
    /// About the size of Pillow's default, in a fraction of its time.
    Balanced,
    /// The smallest of several tries, however long it takes: for a few pictures that are kept for
    /// long.
    Best,
}

impl FileType {
    /// JPEG at Pillow's default quality, 75: what `file_type="jpg"` means in Python.
    pub const fn jpg() -> Self {
        FileType::Jpg { quality: 75 }
    }

    /// The extension of the file's name, which is W&B's name of the format.
    pub const fn extension(self) -> &'static str {
        match self {
            FileType::Png => "png",
            FileType::Jpg { .. } => "jpg",
            FileType::Bmp => "bmp",
        }
    }

    /// The file type of this extension, at the default quality; PNG where there is none.
    pub(crate) fn of_extension(extension: &str) -> Self {
        match extension {
            "jpg" => FileType::jpg(),
            "bmp" => FileType::Bmp,
            _ => FileType::Png,
        }
    }

    /// Whether the format can hold transparency.
    pub(crate) const fn has_alpha(self) -> bool {
        !matches!(self, FileType::Jpg { .. })
    }

    pub(crate) fn check(self) -> Result<()> {
        match self {
            FileType::Jpg { quality } if !(1..=100).contains(&quality) => Err(Error::Option {
                option: "the JPEG quality",
                given: quality.to_string(),
                expected: "it must be from 1 (smallest) to 100 (best)".into(),
            }),
            _ => Ok(()),
        }
    }

    pub(crate) fn check_mode(self, mode: Mode) -> Result<()> {
        let hint = match (mode, self) {
            (Mode::La, FileType::Jpg { .. } | FileType::Bmp) => {
                "use FileType::Png, or the mode L or RGBA"
            }
            (Mode::I16, FileType::Jpg { .. } | FileType::Bmp) => {
                "use FileType::Png, which keeps the 16 bits, or the mode L or RGB"
            }
            _ => return Ok(()),
        };
        Err(Error::Format {
            mode: mode.name(),
            format: self.extension(),
            hint,
        })
    }
}

/// The bytes of a picture file in this format. Alpha is dropped where the format has none.
pub(crate) fn encode(
    pixels: &Pixels,
    file_type: FileType,
    png_effort: PngEffort,
) -> Result<Vec<u8>> {
    file_type.check()?;
    file_type.check_mode(pixels.mode())?;
    match file_type {
        FileType::Png => png::encode(pixels, png_effort),
        FileType::Jpg { quality } => jpeg::encode(pixels, quality),
        FileType::Bmp => bmp::encode(pixels),
    }
}

fn failed(
    pixels: &Pixels,
    format: &'static str,
    source: impl Into<crate::error::BoxedError>,
) -> Error {
    Error::Encode {
        format,
        width: pixels.width(),
        height: pixels.height(),
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(mode: Mode) -> Pixels {
        let (width, height) = (37, 23);
        let step = mode.bytes_per_pixel();
        let data = (0..width * height * step).map(|i| (i / step * 255 / 851 + i % step * 40) as u8);
        Pixels::new(width as u32, height as u32, mode, data.collect()).unwrap()
    }

    /// What the `image` crate reads back differs from `expected` by at most `tolerance`.
    fn check(file_type: FileType, mode: Mode, expected: &[u8], tolerance: u8) {
        let file = encode(&picture(mode), file_type, PngEffort::Auto).unwrap();
        let read = image::load_from_memory(&file).unwrap();
        let read = crate::decode::pixels_from_dynamic(read).unwrap();
        assert_eq!((read.width(), read.height()), (37, 23));
        assert_eq!(
            read.as_bytes().len(),
            expected.len(),
            "{file_type:?} {mode}"
        );
        let worst = read
            .as_bytes()
            .iter()
            .zip(expected)
            .map(|(a, b)| a.abs_diff(*b))
            .max();
        assert!(worst <= Some(tolerance), "{file_type:?} {mode}: {worst:?}");
    }

    #[test]
    fn png_and_bmp_lose_nothing() {
        for mode in [Mode::L, Mode::I16, Mode::La, Mode::Rgb, Mode::Rgba] {
            check(FileType::Png, mode, picture(mode).as_bytes(), 0);
        }
        check(FileType::Bmp, Mode::Rgb, picture(Mode::Rgb).as_bytes(), 0);
        check(FileType::Bmp, Mode::Rgba, picture(Mode::Rgba).as_bytes(), 0);
        let grey = picture(Mode::L);
        let rgb: Vec<u8> = grey.as_bytes().iter().flat_map(|&l| [l, l, l]).collect();
        check(FileType::Bmp, Mode::L, &rgb, 0);
    }

    #[test]
    fn jpeg_comes_close_and_drops_alpha() {
        let best = FileType::Jpg { quality: 100 };
        check(best, Mode::L, picture(Mode::L).as_bytes(), 4);
        check(best, Mode::Rgb, picture(Mode::Rgb).as_bytes(), 12);
        let rgba = picture(Mode::Rgba);
        let rgb: Vec<u8> = rgba
            .as_bytes()
            .chunks(4)
            .flat_map(|p| p[..3].to_vec())
            .collect();
        check(best, Mode::Rgba, &rgb, 12);
    }

    #[test]
    fn a_lower_quality_is_a_smaller_file() {
        let size = |quality| {
            encode(
                &picture(Mode::Rgb),
                FileType::Jpg { quality },
                PngEffort::Auto,
            )
            .unwrap()
            .len()
        };
        assert!(size(10) < size(75) && size(75) < size(100));
    }
}
