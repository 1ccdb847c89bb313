//! PNG, by the `png` crate: `image` has it too, but unpacks colour profiles, reads texts, and takes
//! a file without its end.

use std::io::Cursor;

use ::png::{BitDepth, ColorType, Decoder, OutputInfo, Transformations};
use image::{DynamicImage, ImageBuffer};

use super::picture::MAX_FILE_BYTES;
use crate::pixels::check_size;

/// A decoder that takes no more memory for what isn't pixels than a file has bytes: profiles and
/// texts, which may be packed a thousandfold, stay packed.
pub(super) fn decoder(bytes: &[u8], transformations: Transformations) -> Decoder<Cursor<&[u8]>> {
    let limits = ::png::Limits {
        bytes: MAX_FILE_BYTES as usize,
    };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(transformations);
    decoder
}

/// Width and height that a file claims; none of what is no PNG.
pub(crate) fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut decoder = decoder(bytes, Transformations::IDENTITY);
    let header = decoder.read_header_info().ok()?;
    Some((header.width, header.height))
}

/// The picture, or why it is none: of an animated one its first frame. The file is read to its
/// end, so that one which is cut short, or has a wrong checksum, is none.
pub(super) fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    let mut decoder = decoder(bytes, Transformations::EXPAND);
    let header = decoder.read_header_info().map_err(|e| e.to_string())?;
    let size = (header.width as usize, header.height as usize);
    check_size(size.0, size.1, 1).map_err(|e| e.to_string())?;
    let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
    let (color, depth) = reader.output_color_type();
    let bytes_per_pixel = color.samples() * depth as usize / 8;
    check_size(size.0, size.1, bytes_per_pixel).map_err(|e| e.to_string())?;
    let mut data = vec![0; size.0 * size.1 * bytes_per_pixel];
    let frame = reader.next_frame(&mut data).map_err(|e| e.to_string())?;
    reader.finish().map_err(|e| e.to_string())?;
    let is_whole = (frame.width as usize, frame.height as usize) == size;
    let picture = picture(&frame, data).filter(|_| is_whole);
    picture.ok_or_else(|| "its pixels don't fill its size".into())
}

fn picture(frame: &OutputInfo, data: Vec<u8>) -> Option<DynamicImage> {
    let (width, height) = (frame.width, frame.height);
    let picture = match (frame.color_type, frame.bit_depth) {
        (ColorType::Grayscale, BitDepth::Eight) => {
            DynamicImage::ImageLuma8(ImageBuffer::from_raw(width, height, data)?)
        }
        (ColorType::GrayscaleAlpha, BitDepth::Eight) => {
            DynamicImage::ImageLumaA8(ImageBuffer::from_raw(width, height, data)?)
        }
        (ColorType::Rgb, BitDepth::Eight) => {
            DynamicImage::ImageRgb8(ImageBuffer::from_raw(width, height, data)?)
        }
        (ColorType::Rgba, BitDepth::Eight) => {
            DynamicImage::ImageRgba8(ImageBuffer::from_raw(width, height, data)?)
        }
        (ColorType::Grayscale, BitDepth::Sixteen) => {
            DynamicImage::ImageLuma16(ImageBuffer::from_raw(width, height, samples(&data))?)
        }
        (ColorType::GrayscaleAlpha, BitDepth::Sixteen) => {
            DynamicImage::ImageLumaA16(ImageBuffer::from_raw(width, height, samples(&data))?)
        }
        (ColorType::Rgb, BitDepth::Sixteen) => {
            DynamicImage::ImageRgb16(ImageBuffer::from_raw(width, height, samples(&data))?)
        }
        (ColorType::Rgba, BitDepth::Sixteen) => {
            DynamicImage::ImageRgba16(ImageBuffer::from_raw(width, height, samples(&data))?)
        }
        // Palettes and fewer bits are expanded.
        _ => return None,
    };
    Some(picture)
}

/// Samples of 16 bits, the higher byte first.
fn samples(data: &[u8]) -> Vec<u16> {
    let (pairs, _) = data.as_chunks::<2>();
    pairs.iter().map(|&pair| u16::from_be_bytes(pair)).collect()
}
