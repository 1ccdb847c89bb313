//! PNG, by the `png` crate.

use png::{BitDepth, ColorType, Compression, Encoder};

use super::failed;
use crate::error::Result;
use crate::pixels::{Mode, Pixels};

pub(super) fn encode(pixels: &Pixels) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(pixels.as_bytes().len() / 2 + 1024);
    write(pixels, &mut bytes).map_err(|source| failed(pixels, "png", source))?;
    Ok(bytes)
}

fn write(pixels: &Pixels, bytes: &mut Vec<u8>) -> Result<(), png::EncodingError> {
    let mut encoder = Encoder::new(bytes, pixels.width(), pixels.height());
    encoder.set_color(color_type(pixels.mode()));
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Balanced);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels.as_bytes())?;
    writer.finish()
}

fn color_type(mode: Mode) -> ColorType {
    match mode {
        Mode::L => ColorType::Grayscale,
        Mode::La => ColorType::GrayscaleAlpha,
        Mode::Rgb => ColorType::Rgb,
        Mode::Rgba => ColorType::Rgba,
    }
}
