//! [`Image`]: a picture, a file, or the snapshot of a tensor, with what W&B shows beside it.

mod batch;
pub(crate) mod boxes;
pub(crate) mod classes;
mod joined;
pub(crate) mod json;
pub(crate) mod mask;
mod reading;

use std::path::Path;
use std::sync::Arc;

use crate::decode::PictureFile;
use crate::encode::{self, FileType, PngEffort};
use crate::error::{Error, Result};
use crate::pixels::{Grid, Mode, Observed, Pixels, Plan};
use crate::tensor::Snapshot;

use batch::Batch;
use joined::Joined;

/// A picture to log, as `wandb.Image` is in Python.
///
/// Made from a tensor ([`IntoWandbImage`](crate::IntoWandbImage)), from a file
/// ([`from_path`](Self::from_path)), from [`Pixels`] or from an `image::DynamicImage`. A clone
/// is cheap: it shares the picture.
///
/// A tensor's pixels are made when the image is logged, from a snapshot taken when the `Image`
/// was made: what happens to the tensor in between isn't seen.
///
/// ```
/// use wandb_image::{Image, Mode, Pixels};
///
/// let pixels = Pixels::new(2, 2, Mode::L, vec![0, 85, 170, 255])?;
/// let image = Image::from(pixels).caption("four greys");
/// assert_eq!((image.width(), image.height()), (2, 2));
/// # Ok::<(), wandb_image::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Image {
    source: Source,
    caption: Option<String>,
    file_type: Option<FileType>,
    png_effort: PngEffort,
}

#[derive(Clone, Debug)]
enum Source {
    Pixels(Arc<Pixels>),
    File(Arc<PictureFile>),
    Tensor {
        batch: Arc<Batch>,
        index: usize,
    },
    Joined(Arc<Joined>),
    Refused {
        reason: Arc<Error>,
        width: u32,
        height: u32,
    },
}

/// A picture as the bytes of a file, and what was noticed on the way.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) format: &'static str,
    pub(crate) noticed: Noticed,
}

/// What a user should hear of: nothing here is an error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noticed {
    /// The values of the tensor, where there was one.
    pub(crate) values: Option<Observed>,
    /// Transparency was lost, since the file format has none.
    pub(crate) alpha_dropped: bool,
}

impl Image {
    /// A picture file (PNG, JPEG or BMP), logged as it is: its bytes aren't changed.
    ///
    /// The file is read and decoded here once, so that a damaged one is found now and not in
    /// W&B: one that is cut short, or whose checksum is wrong (JPEG has none).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when it can't be read, [`Error::Picture`] when it is no picture or a damaged
    /// one.
    ///
    /// ```
    /// let error = wandb_image::Image::from_path("no/such.png").unwrap_err();
    /// assert!(error.to_string().starts_with("could not read no/such.png"));
    /// ```
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        let file = PictureFile::read(path.as_ref())?;
        Ok(Self::new(Source::File(Arc::new(file)), None))
    }

    /// Several images as one picture, side by side in the cells of a grid. It is made when its
    /// parts are: not here.
    ///
    /// Sizes and modes may differ. A cell has the greatest width and the greatest height, with a
    /// smaller image in its middle; the mode is the one that holds all (L beside RGB becomes RGB,
    /// with one alpha among them all have it; 16 bits are kept where all have them, and are cut
    /// at 255 beside others, as Pillow does it), and the padding is opaque. The file type is that
    /// of the first image, PNG where it has none; captions aren't kept. One image alone has no
    /// padding.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for no image, and for a grid that can't be; [`Error::TooLarge`]; and the
    /// error of an image that is refused.
    ///
    /// ```
    /// use wandb_image::{Grid, Image, Mode, Pixels};
    ///
    /// let black = Image::from(Pixels::new(1, 2, Mode::L, vec![0, 0])?);
    /// let red = Image::from(Pixels::new(1, 2, Mode::Rgb, vec![255, 0, 0, 255, 0, 0])?);
    /// let both = Image::joined([black, red], Grid::new().padding(0))?.caption("black | red");
    /// assert_eq!((both.width(), both.height(), both.mode()), (2, 2, Mode::Rgb));
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn joined(images: impl IntoIterator<Item = Image>, grid: Grid) -> Result<Self> {
        let images: Vec<Image> = images.into_iter().collect();
        images.iter().try_for_each(Image::check_made)?;
        let file_type = images.first().and_then(|image| image.file_type);
        let joined = Joined::new(images, grid)?;
        Ok(Self::new(Source::Joined(Arc::new(joined)), file_type))
    }

    /// Refuses what has no pixels.
    fn check_made(&self) -> Result<()> {
        match &self.source {
            Source::Refused { reason, .. } => Err(Error::Shared(Arc::clone(reason))),
            _ => Ok(()),
        }
    }

    pub(crate) fn from_snapshot(snapshot: Snapshot, plan: Plan, file_type: FileType) -> Self {
        let batch = Arc::new(Batch::new(snapshot, plan));
        Self::new(Source::Tensor { batch, index: 0 }, Some(file_type))
    }

    pub(crate) fn from_batch(snapshot: Snapshot, plan: Plan, file_type: FileType) -> Vec<Self> {
        let images = plan.images();
        let batch = Arc::new(Batch::new(snapshot, plan));
        let image = |index| {
            let batch = Arc::clone(&batch);
            Self::new(Source::Tensor { batch, index }, Some(file_type))
        };
        (0..images).map(image).collect()
    }

    fn new(source: Source, file_type: Option<FileType>) -> Self {
        Self {
            source,
            caption: None,
            file_type,
            png_effort: PngEffort::default(),
        }
    }

    /// The text that W&B shows with the picture. None by default.
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = Some(caption.into());
        self
    }

    /// The file format. By default PNG; a picture file keeps its own, unless it is set here.
    pub fn file_type(mut self, file_type: FileType) -> Self {
        self.file_type = Some(file_type);
        self
    }

    /// How much work goes into a small PNG file. [`Auto`](PngEffort::Auto) by default. Means
    /// nothing for the other formats, nor for a picture file that is logged as it is.
    pub fn png_effort(mut self, effort: PngEffort) -> Self {
        self.png_effort = effort;
        self
    }

    /// The caption, where there is one.
    pub fn caption_text(&self) -> Option<&str> {
        self.caption.as_deref()
    }

    /// Width in pixels. Known without making the picture.
    pub fn width(&self) -> u32 {
        self.size().0
    }

    /// Height in pixels. Known without making the picture.
    pub fn height(&self) -> u32 {
        self.size().1
    }

    fn size(&self) -> (u32, u32) {
        match &self.source {
            Source::Pixels(pixels) => (pixels.width(), pixels.height()),
            Source::File(file) => (file.width(), file.height()),
            Source::Tensor { batch, .. } => batch.plan().size(),
            Source::Joined(joined) => joined.join().size(),
            Source::Refused { width, height, .. } => (*width, *height),
        }
    }

    /// The memory that the picture holds until it is made, in bytes. What several images share
    /// has the same number in each.
    pub(crate) fn held(&self) -> Vec<(usize, u64)> {
        match &self.source {
            Source::Pixels(pixels) => {
                vec![(address(pixels), pixels.as_bytes().len() as u64)]
            }
            Source::File(file) => vec![(address(file), file.bytes().len() as u64)],
            Source::Tensor { batch, .. } => vec![(address(batch), batch.size_bytes())],
            Source::Joined(joined) => joined.images().iter().flat_map(Self::held).collect(),
            Source::Refused { .. } => Vec::new(),
        }
    }

    /// Refuses what the making of the picture would, as far as that is known without making it.
    pub(crate) fn check(&self) -> Result<()> {
        self.check_made()?;
        let file_type = match (&self.source, self.file_type) {
            (Source::File(_), None) => return Ok(()),
            (_, file_type) => file_type.unwrap_or_default(),
        };
        file_type.check()?;
        file_type.check_mode(self.mode())
    }

    /// The channels of the picture. Known without making it; of a picture without pixels, RGB.
    pub fn mode(&self) -> Mode {
        match &self.source {
            Source::Pixels(pixels) => pixels.mode(),
            Source::File(file) => file.mode(),
            Source::Tensor { batch, .. } => batch.plan().mode(),
            Source::Joined(joined) => joined.join().mode(),
            Source::Refused { .. } => Mode::Rgb,
        }
    }

    /// The name of the file format: `png`, `jpg` or `bmp`.
    pub fn format(&self) -> &'static str {
        match (&self.source, self.file_type) {
            (Source::File(file), None) => file.format(),
            (_, file_type) => file_type.unwrap_or_default().extension(),
        }
    }

    /// The picture itself: `Image.image` in Python.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] when a tensor can't be read from its device, [`Error::Picture`] when a
    /// file can't be decoded.
    pub fn pixels(&self) -> Result<Arc<Pixels>> {
        Ok(self.render()?.0)
    }

    /// What was seen of a tensor's values on the way to the picture: their range, NaN and Inf,
    /// and how many lie outside what the rule expects. None where there was no tensor.
    ///
    /// The run says what matters of it, once per key.
    ///
    /// ```
    /// use wandb_image::{HostTensor, ImageOptions, IntoWandbImage, Normalize};
    ///
    /// let tensor = HostTensor::new([1, 3], vec![0.5_f32, 1.5, f32::NAN])?;
    /// let unit = ImageOptions::new().normalize(Normalize::Unit);
    /// let seen = tensor.to_wandb_image_with(&unit)?.observed()?.unwrap();
    /// assert_eq!((seen.min, seen.max), (0.5, 1.5));
    /// assert_eq!((seen.outside, seen.nan), (1, 1));
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`pixels`](Self::pixels).
    pub fn observed(&self) -> Result<Option<Observed>> {
        Ok(self.render()?.1)
    }

    fn render(&self) -> Result<(Arc<Pixels>, Option<Observed>)> {
        match &self.source {
            Source::Pixels(pixels) => Ok((Arc::clone(pixels), None)),
            Source::File(file) => Ok((Arc::new(file.pixels()?), None)),
            Source::Refused { reason, .. } => Err(Error::Shared(Arc::clone(reason))),
            Source::Tensor { batch, index } => {
                let (pixels, observed) = batch.render(*index)?;
                Ok((Arc::new(pixels), Some(observed)))
            }
            Source::Joined(joined) => {
                let (pixels, observed) = joined.render()?;
                Ok((Arc::new(pixels), observed))
            }
        }
    }

    /// The bytes of the picture's file, made now.
    pub(crate) fn encode(&self) -> Result<Encoded> {
        if let (Source::File(file), None) = (&self.source, self.file_type) {
            return Ok(Encoded {
                bytes: file.bytes(),
                format: file.format(),
                noticed: Noticed::default(),
            });
        }
        let file_type = self.file_type.unwrap_or_default();
        let (pixels, values) = self.render()?;
        let alpha_dropped = pixels.mode() == Mode::Rgba && !file_type.has_alpha();
        Ok(Encoded {
            bytes: Arc::new(encode::encode(&pixels, file_type, self.png_effort)?),
            format: file_type.extension(),
            noticed: Noticed {
                values,
                alpha_dropped,
            },
        })
    }
}

fn address<T>(shared: &Arc<T>) -> usize {
    Arc::as_ptr(shared) as usize
}

impl From<Pixels> for Image {
    fn from(pixels: Pixels) -> Self {
        Self::new(Source::Pixels(Arc::new(pixels)), None)
    }
}

/// A decoded picture of the crate `image` 0.25, taken as it is and never normalised: the way to
/// leave values alone.
///
/// Grey, grey with alpha, RGB and RGBA keep their mode, and grey of 16 bits is [`Mode::I16`]; other
/// 16-bit and float pictures become 8-bit.
/// A picture without pixels, or over 65,500 pixels wide or high, is refused when it is logged.
impl From<::image::DynamicImage> for Image {
    fn from(picture: ::image::DynamicImage) -> Self {
        let (width, height) = (picture.width(), picture.height());
        let source = match crate::decode::pixels_from_dynamic(picture) {
            Ok(pixels) => Source::Pixels(Arc::new(pixels)),
            Err(reason) => Source::Refused {
                reason: Arc::new(reason),
                width,
                height,
            },
        };
        Self::new(source, None)
    }
}
