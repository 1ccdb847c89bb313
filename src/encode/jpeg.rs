//! JPEG, by the `jpeg-encoder` crate.

use jpeg_encoder::{ColorType, Encoder};

use super::failed;
use crate::error::Result;
use crate::pixels::{Mode, Pixels};

pub(super) fn encode(pixels: &Pixels, quality: u8) -> Result<Vec<u8>> {
    let (width, height) = (pixels.width() as u16, pixels.height() as u16);
    let mut bytes = Vec::with_capacity(pixels.as_bytes().len() / 8 + 1024);
    Encoder::new(&mut bytes, quality)
        .encode(pixels.as_bytes(), width, height, color_type(pixels.mode()))
        .map_err(|source| failed(pixels, "jpg", source))?;
    Ok(bytes)
}

/// `Rgba` here makes the encoder skip the fourth byte of each pixel: alpha is dropped. LA and
/// I;16 were refused before.
fn color_type(mode: Mode) -> ColorType {
    match mode {
        Mode::L | Mode::La | Mode::I16 => ColorType::Luma,
        Mode::Rgb => ColorType::Rgb,
        Mode::Rgba => ColorType::Rgba,
    }
}
