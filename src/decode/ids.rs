//! The ids of a mask, from a PNG file that stores them as greys or as indices into a palette.

use std::path::Path;

use ::png::{BitDepth, ColorType, DecodingError, Transformations};

use super::picture::{IN_MEMORY, check_len, read_limited};
use super::png;
use crate::error::{Error, Result};
use crate::pixels::{Mode, Pixels, check_size};

/// The stored numbers, as a picture of mode L. The file is read to its end, so that one which is
/// cut short, or has a wrong checksum, is an error.
pub(crate) fn ids_from_png(path: &Path) -> Result<Pixels> {
    ids(path, &read_limited(path)?)
}

/// The same of a file that was read already.
pub(crate) fn ids_from_bytes(bytes: &[u8]) -> Result<Pixels> {
    let path = Path::new(IN_MEMORY);
    check_len(path, bytes)?;
    ids(path, bytes)
}

fn ids(path: &Path, bytes: &[u8]) -> Result<Pixels> {
    let (width, height, ids) = decode(bytes).map_err(|reason| Error::MaskFile {
        path: path.into(),
        reason,
    })?;
    Pixels::new(width, height, Mode::L, ids)
}

fn decode(bytes: &[u8]) -> Result<(u32, u32, Vec<u8>), String> {
    let mut decoder = png::decoder(bytes, Transformations::IDENTITY);
    let header = decoder.read_header_info().map_err(no_png)?;
    let (width, height) = (header.width, header.height);
    let bits = bits_per_id(header.color_type, header.bit_depth)?;
    check_size(width as usize, height as usize, 1).map_err(|error| error.to_string())?;
    let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
    if reader.info().color_type == ColorType::Indexed && reader.info().palette.is_none() {
        return Err("its palette is missing: it is damaged; copy it again".into());
    }
    let len = reader.output_buffer_size().ok_or("it is too large")?;
    let mut stored = vec![0; len];
    let frame = reader.next_frame(&mut stored).map_err(|e| e.to_string())?;
    reader.finish().map_err(|e| e.to_string())?;
    let ids = unpack(stored, frame.line_size, width as usize, bits);
    Ok((width, height, ids))
}

fn no_png(error: DecodingError) -> String {
    format!("{error}; a mask is a PNG file, grey or with a palette")
}

/// How many bits an id has, in a file of this kind.
fn bits_per_id(color: ColorType, depth: BitDepth) -> Result<usize, String> {
    let color = match color {
        ColorType::Grayscale | ColorType::Indexed if depth != BitDepth::Sixteen => {
            return Ok(depth as usize);
        }
        ColorType::Grayscale | ColorType::Indexed => "grey",
        ColorType::GrayscaleAlpha => "grey with alpha",
        ColorType::Rgb => "RGB",
        ColorType::Rgba => "RGBA",
    };
    Err(format!(
        "it is {color} of {} bits, but a mask is a PNG file that is grey of 1, 2, 4 or 8 bits, the \
         stored number being the id, or has a palette, the index being the id: convert it, or read \
         it yourself and use ImageMask::new",
        depth as u8
    ))
}

/// One id a byte, from rows of which each begins a byte of its own.
fn unpack(stored: Vec<u8>, line_size: usize, width: usize, bits: usize) -> Vec<u8> {
    if bits == 8 {
        return stored;
    }
    let mask = (1_u8 << bits) - 1;
    let ids_of = |&byte: &u8| {
        (0..8 / bits)
            .rev()
            .map(move |i| (byte >> (i * bits)) & mask)
    };
    let lines = stored.chunks_exact(line_size.max(1));
    lines
        .flat_map(|line| line.iter().flat_map(ids_of).take(width))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A file of rows that are packed already.
    fn file(
        (width, height): (u32, u32),
        color: ColorType,
        depth: BitDepth,
        rows: &[u8],
    ) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = ::png::Encoder::new(&mut file, width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette(vec![9; 3 << depth as usize]);
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(rows).unwrap();
        writer.finish().unwrap();
        file
    }

    #[test]
    fn the_stored_number_is_the_id() {
        let check = |depth, rows: &[u8], expected: &[u8]| {
            for color in [ColorType::Grayscale, ColorType::Indexed] {
                let file = file((3, 2), color, depth, rows);
                let decoded = decode(&file).unwrap();
                assert_eq!(decoded, (3, 2, expected.to_vec()), "{color:?} {depth:?}");
            }
        };
        check(
            BitDepth::One,
            &[0b1010_0000, 0b0110_0000],
            &[1, 0, 1, 0, 1, 1],
        );
        check(
            BitDepth::Two,
            &[0b0001_1000, 0b1110_0100],
            &[0, 1, 2, 3, 2, 1],
        );
        check(
            BitDepth::Four,
            &[0x1f, 0x20, 0x03, 0x40],
            &[1, 15, 2, 0, 3, 4],
        );
        check(
            BitDepth::Eight,
            &[0, 1, 2, 253, 254, 255],
            &[0, 1, 2, 253, 254, 255],
        );
    }

    fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let body = [&name[..], data].concat();
        let crc = crc32fast::hash(&body).to_be_bytes();
        [&(data.len() as u32).to_be_bytes(), &body[..], &crc].concat()
    }

    /// 3 × 2 pixels of two bits: Adam7 stores (0, 0), then (2, 0), then (1, 0), then the second
    /// row, each after the number of a filter.
    #[test]
    fn an_interlaced_file_is_put_in_order() {
        let passes = [
            0,
            0b0100_0000,
            0,
            0b1100_0000,
            0,
            0b1000_0000,
            0,
            0b0001_1000,
        ];
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&passes).unwrap();
        let file = [
            b"\x89PNG\r\n\x1a\n".to_vec(),
            chunk(b"IHDR", &[0, 0, 0, 3, 0, 0, 0, 2, 2, 0, 0, 0, 1]),
            chunk(b"IDAT", &packed.finish().unwrap()),
            chunk(b"IEND", &[]),
        ];
        assert_eq!(decode(&file.concat()).unwrap().2, [1, 2, 3, 0, 1, 2]);
    }

    #[test]
    fn another_kind_of_picture_says_what_it_is() {
        let check = |color, depth, bytes_a_pixel: usize, kind: &str| {
            let file = file((2, 1), color, depth, &vec![0; 2 * bytes_a_pixel]);
            let reason = decode(&file).unwrap_err();
            assert_eq!(
                reason,
                format!(
                    "it is {kind}, but a mask is a PNG file that is grey of 1, 2, 4 or 8 bits, \
                     the stored number being the id, or has a palette, the index being the id: \
                     convert it, or read it yourself and use ImageMask::new"
                )
            );
        };
        check(
            ColorType::Grayscale,
            BitDepth::Sixteen,
            2,
            "grey of 16 bits",
        );
        check(
            ColorType::GrayscaleAlpha,
            BitDepth::Eight,
            2,
            "grey with alpha of 8 bits",
        );
        check(ColorType::Rgb, BitDepth::Eight, 3, "RGB of 8 bits");
        check(ColorType::Rgba, BitDepth::Sixteen, 8, "RGBA of 16 bits");
    }

    #[test]
    fn what_is_no_png_says_what_a_mask_is() {
        for bytes in [&b""[..], b"P5 2 2 255", &[0xff, 0xd8, 0xff, 0xe0]] {
            let reason = decode(bytes).unwrap_err();
            assert!(
                reason.ends_with("; a mask is a PNG file, grey or with a palette"),
                "{reason}"
            );
        }
    }

    #[test]
    fn a_damaged_file_is_refused_at_any_place() {
        let rows: Vec<u8> = (0..64 * 64).map(|i| (i % 251) as u8).collect();
        let file = file((64, 64), ColorType::Grayscale, BitDepth::Eight, &rows);
        assert_eq!(decode(&file).unwrap().2, rows);
        for len in 0..file.len() {
            assert!(decode(&file[..len]).is_err(), "{len} of {}", file.len());
        }
        for at in (8..file.len()).step_by(7) {
            let mut changed = file.clone();
            changed[at] ^= 0x10;
            assert!(decode(&changed).is_err(), "byte {at} of {}", file.len());
        }
    }

    #[test]
    fn a_size_that_is_only_claimed_takes_no_memory() {
        let mut file = file((1, 1), ColorType::Grayscale, BitDepth::One, &[0]);
        let mut claim = |width: u32, height: u32| {
            file[16..20].copy_from_slice(&width.to_be_bytes());
            file[20..24].copy_from_slice(&height.to_be_bytes());
            let crc = crc32fast::hash(&file[12..29]);
            file[29..33].copy_from_slice(&crc.to_be_bytes());
            decode(&file).unwrap_err()
        };
        assert!(claim(65_501, 1).starts_with("a picture of 65501×1 pixels is too large: the"));
        assert!(claim(60_000, 60_000).contains("the greatest size in memory is 1 GiB"));
        assert!(claim(0x7fff_ffff, 0x7fff_ffff).contains("the greatest dimension is 65500"));
        claim(0, 5);
        claim(9, 9);
    }

    #[test]
    fn a_file_is_named_in_the_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mask.png");
        std::fs::write(
            &path,
            file((2, 1), ColorType::Rgb, BitDepth::Eight, &[0; 6]),
        )
        .unwrap();
        let text = ids_from_png(&path).unwrap_err().to_string();
        let start = format!("{} can't be read as a mask: it is RGB of 8", path.display());
        assert!(text.starts_with(&start), "{text}");
        std::fs::write(
            &path,
            file((2, 1), ColorType::Indexed, BitDepth::Four, &[0x5a]),
        )
        .unwrap();
        assert_eq!(ids_from_png(&path).unwrap().as_bytes(), [5, 10]);
    }
}
