//! JPEG, by the `zune-jpeg` crate: `image` has it too, but takes a file that is cut short for a
//! picture with a grey rest.

use image::{DynamicImage, GrayImage, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::pixels::{MAX_BYTES, MAX_DIMENSION};

/// The picture, grey or RGB, or why it is none. JPEG has no checksum: bytes that were changed
/// inside may pass. The decoder holds all coefficients of a progressive file while it reads it.
pub(super) fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(MAX_DIMENSION)
        .set_max_height(MAX_DIMENSION);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| e.to_string())?;
    let is_grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let (width, height) = decoder.dimensions().ok_or("it has no size")?;
    if width as u64 * height as u64 * 3 > MAX_BYTES {
        return Err(format!("{width}×{height} pixels take over 1 GiB in memory"));
    }
    let info = decoder.info().ok_or("it has no frame")?;
    let coefficients = width as u64 * height as u64 * u64::from(info.components);
    if info.sof.is_progressive() && coefficients * size_of::<i16>() as u64 > MAX_BYTES {
        return Err(format!(
            "it is progressive, and the coefficients of {width}×{height} pixels take over 1 GiB in \
             memory: save it as a baseline JPEG"
        ));
    }
    let colours = if is_grey {
        ColorSpace::Luma
    } else {
        ColorSpace::RGB
    };
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    let data = decoder.decode().map_err(|e| e.to_string())?;
    let (width, height) = (width as u32, height as u32);
    if !has_end(bytes) {
        return Err("it ends before its picture does: it is cut short".into());
    }
    let picture = match is_grey {
        true => GrayImage::from_raw(width, height, data).map(DynamicImage::from),
        false => RgbImage::from_raw(width, height, data).map(DynamicImage::from),
    };
    picture.ok_or_else(|| "its pixels don't fill its size".into())
}

/// Whether there is a mark of the end: the decoder takes a file that lacks its last bytes.
fn has_end(bytes: &[u8]) -> bool {
    const END: u8 = 0xd9;
    let mut rest = bytes;
    while let Some((marker, after)) = next_marker(rest) {
        rest = match (marker, after) {
            (END, _) => return true,
            // Marks in the data, and the beginning.
            (0x01 | 0xd0..=0xd8, _) => after,
            (_, &[high, low, ..]) => {
                let len = usize::from(u16::from_be_bytes([high, low]));
                after.get(len..).unwrap_or_default()
            }
            _ => return false,
        };
    }
    false
}

/// The first marker, and what follows it. 0xff before 0 is data.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff);
    let at = bytes.windows(2).position(is_marker)?;
    Some((bytes[at + 1], &bytes[at + 2..]))
}

#[cfg(test)]
mod tests {
    use image::ImageFormat;

    use super::*;

    fn file(picture: &DynamicImage) -> Vec<u8> {
        let mut file = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut file, ImageFormat::Jpeg).unwrap();
        file.into_inner()
    }

    fn slope(width: u32, height: u32) -> DynamicImage {
        RgbImage::from_fn(width, height, |x, y| [x as u8 * 3, y as u8 * 5, 90].into()).into()
    }

    #[test]
    fn a_whole_file_gives_what_the_image_crate_gives() {
        for (width, height) in [(1, 1), (13, 7), (64, 48)] {
            for picture in [slope(width, height), slope(width, height).to_luma8().into()] {
                let file = file(&picture);
                let expected = image::load_from_memory(&file).unwrap();
                assert_eq!(decode(&file).unwrap(), expected);
            }
        }
    }

    #[test]
    fn a_file_that_is_cut_short_is_none() {
        let file = file(&slope(64, 48));
        for len in [0, 2, 20, file.len() / 4, file.len() / 2, file.len() * 3 / 4] {
            assert!(decode(&file[..len]).is_err(), "{len} of {}", file.len());
        }
    }
}
