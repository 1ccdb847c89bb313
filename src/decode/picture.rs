//! Picture files: BMP by the `image` crate, PNG and JPEG by decoders that are stricter.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{ColorType, DynamicImage, ImageFormat, ImageReader, Limits};

use super::{jpeg, png};
use crate::error::{Error, Result};
use crate::pixels::{MAX_BYTES, MAX_DIMENSION, Mode, Pixels};

/// What is read of a file at most.
pub(crate) const MAX_FILE_BYTES: u64 = 256 << 20;

/// What errors call a file that was never one.
pub(super) const IN_MEMORY: &str = "the file in memory";

/// A picture file that was read and decoded once, so that it is known to be whole.
pub(crate) struct PictureFile {
    path: PathBuf,
    bytes: Arc<Vec<u8>>,
    format: ImageFormat,
    mode: Mode,
    width: u32,
    height: u32,
}

impl PictureFile {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::whole(path, read_limited(path)?)
    }

    /// A file that was read already.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::named(Path::new(IN_MEMORY), bytes)
    }

    /// The same of a file that had this name.
    pub(crate) fn named(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        check_len(path, &bytes)?;
        Self::whole(path, bytes)
    }

    fn whole(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        let format = format_of(path, &bytes)?;
        let picture = decode(path, format, &bytes)?;
        Ok(Self {
            path: path.into(),
            format,
            mode: mode_of(&picture),
            width: picture.width(),
            height: picture.height(),
            bytes: Arc::new(bytes),
        })
    }

    pub(crate) fn width(&self) -> u32 {
        self.width
    }

    pub(crate) fn height(&self) -> u32 {
        self.height
    }

    pub(crate) fn format(&self) -> &'static str {
        match self.format {
            ImageFormat::Jpeg => "jpg",
            ImageFormat::Bmp => "bmp",
            _ => "png",
        }
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// The name under which it was read; none of one that came from memory.
    pub(crate) fn name(&self) -> Option<&str> {
        let is_read = self.path != Path::new(IN_MEMORY);
        let name = self.path.file_name().and_then(|name| name.to_str());
        name.filter(|_| is_read)
    }

    pub(crate) fn bytes(&self) -> Arc<Vec<u8>> {
        Arc::clone(&self.bytes)
    }

    pub(crate) fn pixels(&self) -> Result<Pixels> {
        pixels_from_dynamic(decode(&self.path, self.format, &self.bytes)?)
    }
}

pub(super) fn read_limited(path: &Path) -> Result<Vec<u8>> {
    let cannot_read = |source| Error::Io {
        action: "read",
        path: path.into(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot_read)?;
    let claimed = file.metadata().map_err(cannot_read)?.len();
    if claimed > MAX_FILE_BYTES {
        return Err(too_long(path));
    }
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot_read)?;
    check_len(path, &bytes)?;
    Ok(bytes)
}

pub(super) fn check_len(path: &Path, bytes: &[u8]) -> Result<()> {
    if bytes.len() as u64 <= MAX_FILE_BYTES {
        return Ok(());
    }
    Err(too_long(path))
}

fn too_long(path: &Path) -> Error {
    let reason = format!("it is over {MAX_FILE_BYTES} bytes long: make it smaller");
    damaged(path, reason)
}

impl std::fmt::Debug for PictureFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            path,
            width,
            height,
            ..
        } = self;
        write!(f, "PictureFile({}, {width}×{height})", path.display())
    }
}

fn format_of(path: &Path, bytes: &[u8]) -> Result<ImageFormat> {
    use ImageFormat::{Bmp, Jpeg, Png};
    match image::guess_format(bytes) {
        Ok(format @ (Png | Jpeg | Bmp)) => Ok(format),
        _ => Err(damaged(
            path,
            "it is no PNG, JPEG or BMP file: convert it to one of these",
        )),
    }
}

fn decode(path: &Path, format: ImageFormat, bytes: &[u8]) -> Result<DynamicImage> {
    match format {
        ImageFormat::Jpeg => jpeg::decode(bytes).map_err(|reason| damaged(path, reason)),
        ImageFormat::Png => png::decode(bytes).map_err(|reason| damaged(path, reason)),
        _ => decode_bmp(bytes).map_err(|error| damaged(path, error)),
    }
}

fn decode_bmp(bytes: &[u8]) -> image::ImageResult<DynamicImage> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Bmp);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    limits.max_image_width = Some(MAX_DIMENSION as u32);
    limits.max_image_height = Some(MAX_DIMENSION as u32);
    reader.limits(limits);
    reader.decode()
}

fn damaged(path: &Path, reason: impl ToString) -> Error {
    Error::Picture {
        path: path.into(),
        reason: reason.to_string(),
    }
}

/// The pixels of a decoded picture, as they are; floats, and 16 bits but of grey alone, become 8
/// bits.
pub(crate) fn pixels_from_dynamic(picture: DynamicImage) -> Result<Pixels> {
    let (width, height) = (picture.width(), picture.height());
    let mode = mode_of(&picture);
    let data = match mode {
        Mode::I16 => return Pixels::from_u16(width, height, picture.into_luma16().into_raw()),
        Mode::L => picture.into_luma8().into_raw(),
        Mode::La => picture.into_luma_alpha8().into_raw(),
        Mode::Rgb => picture.into_rgb8().into_raw(),
        Mode::Rgba => picture.into_rgba8().into_raw(),
    };
    Pixels::new(width, height, mode, data)
}

fn mode_of(picture: &DynamicImage) -> Mode {
    if picture.color() == ColorType::L16 {
        return Mode::I16;
    }
    match (picture.color().has_color(), picture.color().has_alpha()) {
        (false, false) => Mode::L,
        (false, true) => Mode::La,
        (true, false) => Mode::Rgb,
        (true, true) => Mode::Rgba,
    }
}
