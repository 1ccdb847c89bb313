//! [`Image`]: a picture, a file, or the snapshot of a tensor, with what W&B shows beside it and
//! over it.
#![doc = include_str!("python.md")]

pub(crate) mod artifact;
mod batch;
pub(crate) mod boxes;
pub(crate) mod classes;
mod frame;
mod joined;
pub(crate) mod json;
mod layers;
pub(crate) mod left_out;
pub(crate) mod list;
pub(crate) mod mask;
mod reading;
mod seen;
mod shown;
mod source;

use std::path::Path;
use std::sync::Arc;

pub(crate) use layers::{EncodedLayer, LayerKind, LayersNoticed, Names, of_layer};
pub(crate) use seen::Seen;

use crate::decode::PictureFile;
use crate::encode::{self, FileType, PngEffort};
use crate::error::{Error, Result};
use crate::pixels::{Grid, Mode, Observed, Pixels, Plan, check_size};
use crate::tensor::Snapshot;

use batch::Batch;
use boxes::BoundingBoxes2D;
use classes::Classes;
use frame::Frame;
use joined::Joined;
use layers::Layers;
use left_out::LeftOut;
use mask::ImageMask;
use source::Source;

/// The longest caption, in bytes.
const MAX_CAPTION: usize = 1 << 20;

/// Where W&B keeps pictures, relative to a run's `files/`.
pub(crate) const MEDIA_SUBDIR: &str = "media/images";

/// A picture to log, as `wandb.Image` is in Python.
///
/// Made from a tensor ([`IntoWandbImage`](crate::IntoWandbImage)), from a file
/// ([`from_path`](Self::from_path)), from [`Pixels`] or from an `image::DynamicImage`. A clone
/// is cheap: it shares the picture. [Masks](Self::masks) and [boxes](Self::boxes) lie over it.
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
    grouping: Option<i64>,
    file_type: Option<FileType>,
    png_effort: PngEffort,
    mode: Option<Mode>,
    /// The size of a frame around the picture.
    framed: Option<(u32, u32)>,
    layers: Layers,
}

/// A picture as the bytes of a file, and what was noticed on the way.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) format: &'static str,
    pub(crate) layers: Vec<EncodedLayer>,
    pub(crate) noticed: Noticed,
}

/// What a user should hear of: nothing here is an error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noticed {
    /// The values of the tensor, where there was one.
    pub(crate) values: Option<Box<Observed>>,
    /// Transparency was lost, since the file format has none.
    pub(crate) alpha_dropped: bool,
    pub(crate) layers: LayersNoticed,
    /// Parts that couldn't be read back from an artifact.
    pub(crate) left_out: u64,
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
        let path = path.as_ref();
        if path.to_str().is_some_and(is_reference) {
            return Err(Error::Picture {
                path: path.into(),
                reason: NO_FILE.into(),
            });
        }
        PictureFile::read(path).map(Self::from_file)
    }

    /// The bytes of a picture file (PNG, JPEG or BMP), logged as they are: what a plotting library
    /// gives, for example.
    ///
    /// They are decoded here once, as [`from_path`](Self::from_path) does it.
    ///
    /// # Errors
    ///
    /// [`Error::Picture`] when they are no picture or a damaged one.
    ///
    /// ```
    /// let error = wandb_image::Image::from_bytes("GIF89a").unwrap_err();
    /// assert!(error.to_string().contains("it is no PNG, JPEG or BMP file"));
    /// ```
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        PictureFile::from_bytes(bytes.into()).map(Self::from_file)
    }

    /// Several images as one picture, side by side in the cells of a grid. It is made when its
    /// parts are: not here.
    ///
    /// Sizes and modes may differ. A cell has the greatest width and the greatest height, with a
    /// smaller image in its middle; the mode is the one that holds all (L beside RGB becomes RGB,
    /// with one alpha among them all have it; 16 bits are kept where all have them, and are cut
    /// at 255 beside others, as Pillow does it), and the padding is opaque. The file type is that
    /// of the first image, PNG where it has none; captions, masks and boxes aren't kept. One image
    /// alone has no padding.
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
        images.iter().try_for_each(|image| image.source.check())?;
        let file_type = images.first().and_then(|image| image.file_type);
        let joined = Joined::new(images, grid)?;
        Ok(Self::new(Source::Joined(Arc::new(joined)), file_type))
    }

    /// A picture that stays where it is: `https://`, `http://`, `s3://` or `gs://`.
    ///
    /// A run holds files alone, so logging it is an error, as it is in Python. Nothing is read: the
    /// size is unknown, and there are no pixels.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for anything else.
    ///
    /// ```
    /// use wandb_image::Image;
    ///
    /// let image = Image::from_reference("s3://bucket/cat.png")?;
    /// # let run = wandb_image::init().start_on(wandb_image::sink::MemorySink::new())?;
    /// let error = run.log([("cat", image)]).unwrap_err();
    /// assert!(error.to_string().contains("s3://bucket/cat.png"));
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn from_reference(uri: impl Into<String>) -> Result<Self> {
        let uri = uri.into();
        match is_reference(&uri) {
            true => Ok(Self::new(Source::Reference(uri.into()), None)),
            false => Err(Error::Option {
                option: "the reference to an image",
                given: format!("{uri:?}"),
                expected:
                    "it must begin with https://, http://, s3:// or gs://: for a file on this \
                           machine use Image::from_path"
                        .into(),
            }),
        }
    }

    /// The picture of another image, with its caption, grouping and classes, without its masks and
    /// boxes: `wandb.Image(image)` in Python. (A clone keeps them.)
    ///
    /// ```
    /// use wandb_image::{Image, ImageMask, Mode, Pixels};
    ///
    /// let image = Image::from(Pixels::new(1, 1, Mode::L, vec![7])?).caption("a pixel");
    /// let image = image.masks("truth", ImageMask::new(1, 1, vec![0])?)?;
    /// let copy = Image::from_image(&image);
    /// assert_eq!(copy.caption_text(), Some("a pixel"));
    /// assert!(copy != image, "the mask is missing");
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn from_image(image: &Image) -> Self {
        Self {
            layers: image.layers.without_layers(),
            ..image.clone()
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

    /// A picture file that was read, as it is.
    pub(crate) fn from_file(file: PictureFile) -> Self {
        Self::new(Source::File(Arc::new(file)), None)
    }

    fn new(source: Source, file_type: Option<FileType>) -> Self {
        Self {
            source,
            caption: None,
            grouping: None,
            file_type,
            png_effort: PngEffort::default(),
            mode: None,
            framed: None,
            layers: Layers::default(),
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

    /// A number by which W&B groups images; 0 is none, as in Python, and a list of images has none.
    pub fn grouping(mut self, group: i64) -> Self {
        self.grouping = Some(group);
        self
    }

    /// Another mode, converted as Pillow's `convert` does it; a picture file is encoded anew. By
    /// default as it is.
    ///
    /// The file type stays: a mode that it can't hold is [`Error::Format`] when the image is
    /// logged, such as [`La`](Mode::La) or [`I16`](Mode::I16) of a JPEG file.
    /// [`file_type`](Self::file_type)`(`[`FileType::Png`]`)` holds every mode.
    ///
    /// ```
    /// use wandb_image::{Image, Mode, Pixels};
    ///
    /// let red = Image::from(Pixels::new(1, 1, Mode::Rgb, vec![255, 0, 0])?);
    /// assert_eq!(red.convert(Mode::L).pixels()?.as_bytes(), [76]);
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    #[doc(alias = "mode")]
    pub fn convert(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Lays a mask of class ids over the picture, under a key such as `prediction` or `truth`.
    ///
    /// W&B shows each layer by itself, with the names of its classes:
    /// [`ImageMask::class_labels`], else those of [`classes`](Self::classes), else `class_0`,
    /// `class_1`, …. Ids are read when the picture is made: one that a mask can't hold costs the
    /// picture too, and the run says so.
    ///
    /// # Errors
    ///
    /// [`Error::Layer`], which names the layer, for a mask of another size than the picture, an
    /// empty key, and a second mask under the same key.
    ///
    /// ```
    /// use wandb_image::{Classes, Image, ImageMask, Mode, Pixels};
    ///
    /// let classes = Classes::from_names(["background", "cat"]);
    /// let mask = ImageMask::new(2, 1, vec![0, 1])?.class_labels(classes);
    /// let image = Image::from(Pixels::new(2, 1, Mode::L, vec![30, 200])?).masks("truth", mask)?;
    ///
    /// let narrow = ImageMask::new(1, 1, vec![0])?;
    /// let error = image.masks("prediction", narrow).unwrap_err();
    /// assert!(error.to_string().contains("\"prediction\""));
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn masks(mut self, key: impl Into<String>, mask: ImageMask) -> Result<Self> {
        self.add_mask(key.into(), mask)?;
        Ok(self)
    }

    /// Lays boxes over the picture, under a key such as `prediction` or `truth`.
    ///
    /// # Errors
    ///
    /// [`Error::Layer`], which names the layer and the box, for a box that can't be drawn (unless
    /// [`BoundingBoxes2D::invalid`] says to leave it out), an empty key, and second boxes under
    /// the same key. Boxes from a tensor are checked when the picture is made: one that can't be
    /// drawn costs the picture then, and the run says so.
    ///
    /// ```
    /// use wandb_image::{BoundingBox, BoundingBoxes2D, Domain, Image, Mode, Pixels, Position};
    ///
    /// let corner = BoundingBox::new(Domain::Pixel, Position::corners(0.0, 0.0, 1.0, 1.0), 3);
    /// let boxes = BoundingBoxes2D::new([corner.caption("a corner").score("confidence", 0.9)]);
    /// let image = Image::from(Pixels::new(2, 1, Mode::L, vec![30, 200])?);
    /// let image = image.boxes("prediction", boxes)?;
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn boxes(mut self, key: impl Into<String>, boxes: BoundingBoxes2D) -> Result<Self> {
        self.add_boxes(key.into(), boxes)?;
        Ok(self)
    }

    pub(crate) fn add_mask(&mut self, key: String, mask: ImageMask) -> Result<()> {
        self.layers.add_mask(key, mask, self.source.size())
    }

    pub(crate) fn add_boxes(&mut self, key: String, boxes: BoundingBoxes2D) -> Result<()> {
        self.layers.add_boxes(key, boxes)
    }

    /// Says what couldn't be read of it.
    pub(crate) fn lacking(mut self, left_out: LeftOut) -> Self {
        self.layers.set_left_out(left_out);
        self
    }

    /// The names of the classes, for the masks and boxes that bring none of their own.
    pub fn classes(mut self, classes: Classes) -> Self {
        self.layers.set_classes(classes);
        self
    }

    /// The picture in the middle of a frame of at least this size: black around it, class 0 around
    /// its masks, its boxes moved.
    pub(crate) fn padded_to(mut self, width: u32, height: u32) -> Self {
        self.framed = Some((width, height));
        self
    }

    /// The caption, where there is one.
    pub fn caption_text(&self) -> Option<&str> {
        self.caption.as_deref()
    }

    /// Width in pixels. Known without making the picture; 0 for a reference.
    pub fn width(&self) -> u32 {
        self.frame().size().0
    }

    /// Height in pixels. Known without making the picture; 0 for a reference.
    pub fn height(&self) -> u32 {
        self.frame().size().1
    }

    fn frame(&self) -> Frame {
        Frame::new(self.source.size().unwrap_or_default(), self.framed)
    }

    /// The memory that the image holds until it is made, in bytes. What several images share has
    /// the same number in each.
    pub(crate) fn held(&self) -> Vec<(usize, u64)> {
        let mut held = self.source.held();
        held.extend(self.layers.held());
        held
    }

    /// The memory of its pixels and its masks once they are made, and of its caption, in bytes.
    pub(crate) fn made_bytes(&self) -> u64 {
        let (width, height) = self.frame().size();
        let pixels = u64::from(width) * u64::from(height);
        let caption = self.caption.as_ref().map_or(0, String::len) as u64;
        pixels * self.mode().bytes_per_pixel() as u64
            + self.layers.mask_bytes(self.frame())
            + caption
    }

    /// Refuses what the making of the picture would, as far as that is known without making it.
    pub(crate) fn check(&self) -> Result<()> {
        self.source.check()?;
        check_caption(self.caption_text())?;
        if self.file_as_it_is().is_some() {
            return Ok(());
        }
        let (width, height) = self.frame().size();
        check_size(
            width as usize,
            height as usize,
            self.mode().bytes_per_pixel(),
        )?;
        let file_type = self.encoded_type();
        file_type.check()?;
        file_type.check_mode(self.mode())
    }

    /// The channels of the picture. Known without making it; of a picture without pixels, RGB.
    pub fn mode(&self) -> Mode {
        self.mode.unwrap_or_else(|| self.source.mode())
    }

    /// The name of the file format: `png`, `jpg` or `bmp`; of a reference, its extension.
    pub fn format(&self) -> &str {
        match (&self.source, self.file_as_it_is()) {
            (Source::Reference(uri), _) => extension(uri),
            (_, Some(file)) => file.format(),
            _ => self.encoded_type().extension(),
        }
    }

    /// The file whose bytes are the picture's.
    fn file_as_it_is(&self) -> Option<&PictureFile> {
        let is_changed =
            self.file_type.is_some() || self.mode.is_some() || !self.frame().is_tight();
        match &self.source {
            Source::File(file) if !is_changed => Some(file),
            _ => None,
        }
    }

    /// The file type of a picture that is encoded here.
    fn encoded_type(&self) -> FileType {
        let of_source = match &self.source {
            Source::File(file) => FileType::of_extension(file.format()),
            _ => FileType::default(),
        };
        self.file_type.unwrap_or(of_source)
    }

    /// The picture itself: `Image.image` in Python. Made now, and not kept: a file is decoded, a
    /// tensor read from its device and normalised.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] when a tensor can't be read from its device, [`Error::Picture`] when a
    /// file can't be decoded, [`Error::Reference`] for a picture that isn't here.
    #[doc(alias = "image")]
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
        let (pixels, observed) = self.source.render()?;
        let pixels = match self.mode {
            Some(mode) if mode != pixels.mode() => {
                let (width, height) = (pixels.width() as usize, pixels.height() as usize);
                check_size(width, height, mode.bytes_per_pixel())?;
                Arc::new(Arc::unwrap_or_clone(pixels).convert(mode))
            }
            _ => pixels,
        };
        Ok((self.frame().around(pixels)?, observed))
    }

    /// The bytes of the picture's file and of its layers' files, made now.
    pub(crate) fn encode(&self) -> Result<Encoded> {
        let (layers, layers_noticed) = self.layers.encode(self.frame())?;
        let (bytes, format, noticed) = self.encode_picture()?;
        Ok(Encoded {
            bytes,
            format,
            layers,
            noticed: Noticed {
                layers: layers_noticed,
                left_out: self.layers.left_out().count(),
                ..noticed
            },
        })
    }

    /// The bytes of the picture's file, and its format.
    fn encode_picture(&self) -> Result<(Arc<Vec<u8>>, &'static str, Noticed)> {
        if let Some(file) = self.file_as_it_is() {
            return Ok((file.bytes(), file.format(), Noticed::default()));
        }
        let file_type = self.encoded_type();
        let (pixels, values) = self.render()?;
        let noticed = Noticed {
            values: values.map(Box::new),
            alpha_dropped: pixels.mode() == Mode::Rgba && !file_type.has_alpha(),
            ..Noticed::default()
        };
        let bytes = encode::encode(&pixels, file_type, self.png_effort)?;
        Ok((Arc::new(bytes), file_type.extension(), noticed))
    }

    /// The grouping that W&B is told: none where it is 0.
    pub(crate) fn shown_grouping(&self) -> Option<i64> {
        self.grouping.filter(|&group| group != 0)
    }
}

fn check_caption(caption: Option<&str>) -> Result<()> {
    match caption.map_or(0, str::len) {
        ..=MAX_CAPTION => Ok(()),
        bytes => Err(Error::Option {
            option: "the caption",
            given: format!("{bytes} bytes long"),
            expected: "it has at most 1 MiB: shorten it".into(),
        }),
    }
}

/// Where something shared is in memory: the same number in all that share it.
fn address<T: ?Sized>(shared: &Arc<T>) -> usize {
    Arc::as_ptr(shared).cast::<()>() as usize
}

const NO_FILE: &str = "it is no file on this machine: download it first, or keep it as it is with \
                       Image::from_reference";

/// As in the Python SDK.
fn is_reference(uri: &str) -> bool {
    let schemes = ["https://", "http://", "s3://", "gs://"];
    schemes.iter().any(|scheme| uri.starts_with(scheme))
}

/// What stands after the last dot of the last part of a path.
fn extension(uri: &str) -> &str {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rsplit('.').next().unwrap_or_default()
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
