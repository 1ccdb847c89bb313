//! PNG files, piece by piece.

use std::io::Write;

use flate2::write::ZlibEncoder;

/// What IHDR says.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) size: (u32, u32),
    pub(super) depth: u8,
    pub(super) color: u8,
    pub(super) is_interlaced: bool,
}

impl Header {
    /// Eight bits of grey.
    pub(super) fn grey(width: u32, height: u32) -> Self {
        Self {
            size: (width, height),
            depth: 8,
            color: 0,
            is_interlaced: false,
        }
    }
}

pub(super) fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&name[..], data].concat();
    let crc = crc32fast::hash(&body).to_be_bytes();
    [&(data.len() as u32).to_be_bytes(), &body[..], &crc].concat()
}

pub(super) fn packed(data: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(data).unwrap();
    packed.finish().unwrap()
}

/// A file of this header, these chunks and this packed image data.
pub(super) fn file(header: Header, chunks: &[Vec<u8>], data: &[u8]) -> Vec<u8> {
    let (width, height) = header.size;
    let mut ihdr = [width.to_be_bytes(), height.to_be_bytes()].concat();
    ihdr.extend([
        header.depth,
        header.color,
        0,
        0,
        header.is_interlaced.into(),
    ]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    file.extend(chunk(b"IHDR", &ihdr));
    file.extend(chunks.concat());
    file.extend(chunk(b"IDAT", data));
    file.extend(chunk(b"IEND", &[]));
    file
}

/// `mebibytes` of zeros as zlib packs them, made from one piece over and over.
pub(super) fn packed_zeros(mebibytes: u32) -> Vec<u8> {
    const PIECE: u32 = 1 << 20;
    let mut packed = flate2::Compress::new(flate2::Compression::best(), false);
    let mut piece = Vec::with_capacity(64 * 1024);
    let zeros = vec![0; PIECE as usize];
    let flush = flate2::FlushCompress::Full;
    packed.compress_vec(&zeros, &mut piece, flush).unwrap();
    assert_eq!(packed.total_in(), u64::from(PIECE));
    let adler = (u64::from(PIECE) * u64::from(mebibytes) % 65_521) as u32;
    let mut zlib = vec![0x78, 0xda];
    zlib.extend(piece.repeat(mebibytes as usize));
    // A last block that is empty.
    zlib.extend([1, 0, 0, 0xff, 0xff]);
    zlib.extend((adler << 16 | 1).to_be_bytes());
    zlib
}
