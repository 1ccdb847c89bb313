//! BMP, by the `image` crate.

use image::ExtendedColorType;
use image::codecs::bmp::BmpEncoder;

use super::failed;
use crate::error::Result;
use crate::pixels::{Mode, Pixels};

pub(super) fn encode(pixels: &Pixels) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(pixels.as_bytes().len() + 1024);
    BmpEncoder::new(&mut bytes)
        .encode(
            pixels.as_bytes(),
            pixels.width(),
            pixels.height(),
            color_type(pixels.mode()),
        )
        .map_err(|source| failed(pixels, "bmp", source))?;
    Ok(bytes)
}

fn color_type(mode: Mode) -> ExtendedColorType {
    match mode {
        Mode::L => ExtendedColorType::L8,
        Mode::I16 => ExtendedColorType::L16,
        Mode::La => ExtendedColorType::La8,
        Mode::Rgb => ExtendedColorType::Rgb8,
        Mode::Rgba => ExtendedColorType::Rgba8,
    }
}
