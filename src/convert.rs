//! From a tensor to an [`Image`]: the trait, its options, and the snapshot between them.

mod boxes;

use crate::encode::{FileType, PngEffort};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::image::mask::{ImageMask, MaskOptions};
use crate::pixels::{
    Grid, Layout, MaskPlan, Mode, Normalize, Output, Plan, Remap, Resize, Treatment, check_images,
    check_tensor,
};
use crate::tensor::{DType, HostTensor, Snapshot, shape_of_selection};

/// A tensor that can become a [`wandb.Image`](Image).
///
/// Implemented for the tensors of candle, burn and tch and for ndarray's arrays, each behind a
/// feature, and for [`HostTensor`]. Only [`to_host`](Self::to_host) is required; the provided
/// methods that describe or narrow the tensor are overridden where a framework can do better
/// than by copying to the host.
///
/// Rank 2 is (H, W) and rank 3 is (C, H, W): one image. Rank 4 is (N, C, H, W): a grid for
/// [`to_wandb_image`](Self::to_wandb_image), N images for
/// [`to_wandb_images`](Self::to_wandb_images). [`ImageOptions::layout`] reads channels last.
///
/// # A tensor type of your own
///
/// ```
/// use wandb_image::{HostTensor, IntoWandbImage, Result};
///
/// struct Heightmap {
///     metres: Vec<f32>,
///     width: usize,
/// }
///
/// impl IntoWandbImage for Heightmap {
///     fn to_host(&self) -> Result<HostTensor> {
///         let height = self.metres.len() / self.width;
///         HostTensor::new([height, self.width], self.metres.clone())
///     }
/// }
///
/// let map = Heightmap { metres: vec![120.0, 450.5, 3210.0, 8848.9], width: 2 };
/// let image = map.to_wandb_image()?.caption("the lowest is black, the highest white");
/// assert_eq!(image.pixels()?.as_bytes(), [0, 9, 90, 255]);
/// # Ok::<(), wandb_image::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no tensor of which wandb-image can make a picture",
    label = "needs `IntoWandbImage`",
    note = "tensors of candle, burn and tch and arrays of ndarray need the feature `candle`, `burn`, \
            `tch` or `ndarray` of wandb-image, and the framework in the version that it names",
    note = "a type of your own implements `IntoWandbImage::to_host`; values in a vector go by \
            `HostTensor::new(shape, values)`"
)]
pub trait IntoWandbImage {
    /// The tensor in host memory, row-major, in its own dtype.
    ///
    /// No layout, no normalising, no clamping: that is done afterwards, alike for everyone. But a
    /// size over the limit is refused here, and in [`select`](Self::select) and
    /// [`snapshot`](Self::snapshot), before anything is copied: a view that was broadcast claims
    /// more than lies behind it.
    ///
    /// # Errors
    ///
    /// [`Error::Dtype`] for a dtype without a picture,
    /// [`Error::TensorTooLarge`] for over 4 GiB,
    /// [`Error::Device`] when the device can't be read.
    fn to_host(&self) -> Result<HostTensor>;

    /// The dimensions, outermost first. By default, those of [`to_host`](Self::to_host).
    ///
    /// # Errors
    ///
    /// Those of [`to_host`](Self::to_host), where that is used.
    fn shape(&self) -> Result<Vec<usize>> {
        Ok(self.to_host()?.shape().to_vec())
    }

    /// The dtype that arrives on the host. By default, that of [`to_host`](Self::to_host).
    ///
    /// # Errors
    ///
    /// [`Error::Dtype`] for a dtype without a picture.
    fn dtype(&self) -> Result<DType> {
        Ok(self.to_host()?.dtype())
    }

    /// How the dimensions are read where no option says it: [`Layout::Chw`] unless overridden.
    fn default_layout(&self) -> Layout {
        Layout::Chw
    }

    /// How values become pixels where no option says it: [`Normalize::MinMax`] unless overridden.
    fn default_normalize(&self) -> Normalize {
        Normalize::MinMax
    }

    /// The images `indices` of a batch (the first dimension), as a snapshot.
    ///
    /// Frameworks narrow on the device, so that only these are moved. By default the whole
    /// tensor goes to the host first.
    ///
    /// # Errors
    ///
    /// [`Error::Index`] for an index past the end, and those of
    /// [`to_host`](Self::to_host).
    fn select(&self, indices: &[usize]) -> Result<Snapshot> {
        Ok(Snapshot::ready(self.to_host()?.select(indices)?))
    }

    /// The tensor as it is now: owned, `Send`, and immune to what happens to the tensor later.
    ///
    /// By default, [`to_host`](Self::to_host) at once.
    ///
    /// # Errors
    ///
    /// Those of [`to_host`](Self::to_host).
    fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot::ready(self.to_host()?))
    }

    /// One image with the defaults: [`MinMax`](Normalize::MinMax) for tensors, PNG; a batch
    /// becomes a grid, eight a row.
    ///
    /// # Errors
    ///
    /// [`Error::Rank`], [`Error::Empty`],
    /// [`Error::Channels`],
    /// [`Error::TooLarge`], [`Error::TensorTooLarge`] or [`Error::Dtype`],
    /// each naming the shape. A fault of the device surfaces when the picture is made.
    fn to_wandb_image(&self) -> Result<Image> {
        self.to_wandb_image_with(&ImageOptions::new())
    }

    /// One image with options.
    ///
    /// ```
    /// use wandb_image::{HostTensor, ImageOptions, IntoWandbImage, Normalize};
    ///
    /// let tensor = HostTensor::new([2, 2], vec![-1.0_f32, 0.0, 0.5, 1.0])?;
    /// let options = ImageOptions::new().normalize(Normalize::Signed);
    /// let image = tensor.to_wandb_image_with(&options)?;
    /// assert_eq!(image.pixels()?.as_bytes(), [0, 127, 191, 255]);
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`to_wandb_image`](Self::to_wandb_image), and
    /// [`Error::Option`] for an option with a value it can't have.
    fn to_wandb_image_with(&self, options: &ImageOptions) -> Result<Image> {
        let (snapshot, plan) = prepare(self, options, Output::Grid(options.grid))?;
        let image = Image::from_snapshot(snapshot, plan, options.file_type);
        Ok(image.png_effort(options.png_effort))
    }

    /// The images of a batch, each ranged alone. A tensor of rank 2 or 3 gives one.
    ///
    /// # Errors
    ///
    /// Those of [`to_wandb_image`](Self::to_wandb_image).
    fn to_wandb_images(&self) -> Result<Vec<Image>> {
        self.to_wandb_images_with(&ImageOptions::new())
    }

    /// The images of a batch, with options; [`ImageOptions::scale_each`]`(false)` gives them one
    /// range.
    ///
    /// ```
    /// use wandb_image::{HostTensor, ImageOptions, IntoWandbImage};
    ///
    /// let batch = HostTensor::new([2, 1, 1, 2], vec![0.0_f32, 1.0, 0.0, 2.0])?;
    /// let alone = batch.to_wandb_images()?;
    /// assert_eq!(alone[0].pixels()?.as_bytes(), [0, 255]);
    /// let together = batch.to_wandb_images_with(&ImageOptions::new().scale_each(false))?;
    /// assert_eq!(together[0].pixels()?.as_bytes(), [0, 127]);
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`to_wandb_image_with`](Self::to_wandb_image_with).
    fn to_wandb_images_with(&self, options: &ImageOptions) -> Result<Vec<Image>> {
        let (snapshot, plan) = prepare(self, options, Output::Each)?;
        let images = Image::from_batch(snapshot, plan, options.file_type).into_iter();
        Ok(images
            .map(|image| image.png_effort(options.png_effort))
            .collect())
    }

    /// A mask over a picture, with the defaults: class ids, or the class with the highest score.
    ///
    /// Integers and bools of rank 2 (H, W), or of rank 3 with one channel, are the ids. Floats of
    /// rank 3 (C, H, W) with two channels or more are the scores of as many classes, as a
    /// segmentation head gives them (logits or probabilities): the id is the channel with the
    /// highest score, the first of several, on the host. NaN is never the highest; a pixel that
    /// has no score but NaN is of class 0.
    ///
    /// Shape and dtype are checked here, the ids when the mask is made.
    ///
    /// ```
    /// use wandb_image::{HostTensor, IntoWandbImage};
    ///
    /// let target = HostTensor::new([2, 2], vec![0_i64, 1, 1, 7])?;
    /// assert_eq!(target.to_wandb_mask()?.ids()?.as_bytes(), [0, 1, 1, 7]);
    ///
    /// let is_cell = HostTensor::new([1, 2], vec![false, true])?;
    /// assert_eq!(is_cell.to_wandb_mask()?.ids()?.as_bytes(), [0, 1]);
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::LayerTensor`] for another shape or dtype (floats without classes must be compared
    /// with a threshold first), [`Error::Empty`], [`Error::TooLarge`], [`Error::TensorTooLarge`],
    /// and those of [`snapshot`](Self::snapshot). An id outside 0 to 255 surfaces when the mask is made.
    fn to_wandb_mask(&self) -> Result<ImageMask> {
        self.to_wandb_mask_with(&MaskOptions::new())
    }

    /// A mask over a picture, with options: for an ignore index, ids over 255, or a picture that
    /// was resized. Ids that came from scores are remapped too.
    ///
    /// ```
    /// use wandb_image::{HostTensor, IntoWandbImage, MaskOptions};
    ///
    /// let target = HostTensor::new([1, 3], vec![0_i64, 1, -100])?;
    /// let mask = target.to_wandb_mask_with(&MaskOptions::new().remap(-100, 255))?;
    /// assert_eq!(mask.ids()?.as_bytes(), [0, 1, 255]);
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`to_wandb_mask`](Self::to_wandb_mask), and [`Error::Option`] for a size of 0.
    fn to_wandb_mask_with(&self, options: &MaskOptions) -> Result<ImageMask> {
        let (snapshot, plan) = prepare_mask(self, options, MaskPlan::one)?;
        Ok(ImageMask::from_snapshot(snapshot, plan))
    }

    /// The masks of a batch, with the defaults: integers and bools (N, H, W) or (N, 1, H, W),
    /// floats (N, C, H, W), read as in [`to_wandb_mask`](Self::to_wandb_mask). They share one
    /// snapshot, which is read once.
    ///
    /// ```
    /// use wandb_image::{HostTensor, IntoWandbImage};
    ///
    /// let targets = HostTensor::new([2, 1, 2], vec![0_u8, 1, 2, 3])?;
    /// let masks = targets.to_wandb_masks()?;
    /// assert_eq!(masks[1].ids()?.as_bytes(), [2, 3]);
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`to_wandb_mask`](Self::to_wandb_mask).
    fn to_wandb_masks(&self) -> Result<Vec<ImageMask>> {
        self.to_wandb_masks_with(&MaskOptions::new())
    }

    /// The masks of a batch, with options.
    ///
    /// # Errors
    ///
    /// Those of [`to_wandb_mask_with`](Self::to_wandb_mask_with).
    fn to_wandb_masks_with(&self, options: &MaskOptions) -> Result<Vec<ImageMask>> {
        let (snapshot, plan) = prepare_mask(self, options, MaskPlan::each)?;
        Ok(ImageMask::from_batch(snapshot, plan))
    }
}

fn prepare_mask<T: IntoWandbImage + ?Sized>(
    tensor: &T,
    options: &MaskOptions,
    plan: fn(&[usize], DType, Layout, Remap) -> Result<MaskPlan>,
) -> Result<(Snapshot, MaskPlan)> {
    let layout = options.layout.unwrap_or_else(|| tensor.default_layout());
    let snapshot = tensor.snapshot()?;
    let remap = options.remap.clone();
    let plan = plan(snapshot.shape(), snapshot.dtype(), layout, remap)?;
    let plan = match options.resize {
        Some(resize) => plan.resized(resize)?,
        None => plan,
    };
    Ok((snapshot, plan))
}

fn prepare<T: IntoWandbImage + ?Sized>(
    tensor: &T,
    options: &ImageOptions,
    output: Output,
) -> Result<(Snapshot, Plan)> {
    options.check()?;
    let snapshot = match options.max_images {
        Some(limit) => first_images(tensor, limit)?,
        None => tensor.snapshot()?,
    };
    let treatment = Treatment {
        layout: options.layout.unwrap_or_else(|| tensor.default_layout()),
        normalize: options.rule(|| tensor.default_normalize()),
        mode: options.mode,
        output,
        scale_each: options.scale_each,
        resize: options.resize,
        max_side: options.max_side,
    };
    let plan = Plan::new(snapshot.shape(), snapshot.dtype(), treatment)?;
    options.file_type.check_mode(plan.mode())?;
    Ok((snapshot, plan))
}

fn first_images<T: IntoWandbImage + ?Sized>(tensor: &T, limit: usize) -> Result<Snapshot> {
    let shape = tensor.shape()?;
    if shape.len() != 4 || shape[0] <= limit {
        return tensor.snapshot();
    }
    // Of the fewest bytes that an element can have: `select` knows how many they are.
    check_tensor(&[&[limit], &shape[1..]].concat(), DType::U8)?;
    check_images(&shape, limit)?;
    tensor.select(&Vec::from_iter(0..limit))
}

impl<T: IntoWandbImage + ?Sized> IntoWandbImage for &T {
    fn to_host(&self) -> Result<HostTensor> {
        (**self).to_host()
    }
    fn shape(&self) -> Result<Vec<usize>> {
        (**self).shape()
    }
    fn dtype(&self) -> Result<DType> {
        (**self).dtype()
    }
    fn default_layout(&self) -> Layout {
        (**self).default_layout()
    }
    fn default_normalize(&self) -> Normalize {
        (**self).default_normalize()
    }
    fn select(&self, indices: &[usize]) -> Result<Snapshot> {
        (**self).select(indices)
    }
    fn snapshot(&self) -> Result<Snapshot> {
        (**self).snapshot()
    }
}

impl IntoWandbImage for HostTensor {
    fn to_host(&self) -> Result<HostTensor> {
        check_tensor(HostTensor::shape(self), HostTensor::dtype(self))?;
        self.copied()
    }
    fn shape(&self) -> Result<Vec<usize>> {
        Ok(HostTensor::shape(self).to_vec())
    }
    fn dtype(&self) -> Result<DType> {
        Ok(HostTensor::dtype(self))
    }
    fn select(&self, indices: &[usize]) -> Result<Snapshot> {
        let shape = shape_of_selection(HostTensor::shape(self), indices)?;
        check_tensor(&shape, HostTensor::dtype(self))?;
        Ok(Snapshot::ready(HostTensor::select(self, indices)?))
    }
}

/// How a tensor becomes a picture. Everything has a default; setters consume and return it.
///
/// | option | default |
/// | --- | --- |
/// | [`normalize`](Self::normalize) | [`MinMax`](Normalize::MinMax) for tensors, [`ToUint8`](Normalize::ToUint8) for ndarray |
/// | [`layout`](Self::layout) | [`Chw`](Layout::Chw) for tensors, [`Hwc`](Layout::Hwc) for ndarray |
/// | [`mode`](Self::mode) | by the channels: 1 → L, 3 → RGB, 4 → RGBA; never 16 bits |
/// | [`file_type`](Self::file_type) | [`Png`](FileType::Png) |
/// | [`png_effort`](Self::png_effort) | [`Auto`](PngEffort::Auto): by the picture |
/// | [`grid`](Self::grid) | eight a row, 2 pixels of black between them |
/// | [`scale_each`](Self::scale_each) | `false` for a grid, `true` for a list of images |
/// | [`resize`](Self::resize) | as it is |
/// | [`max_side`](Self::max_side) | no limit but 65,500 |
/// | [`max_images`](Self::max_images) | all |
///
/// ```
/// use wandb_image::{FileType, Grid, ImageOptions, Normalize};
///
/// let options = ImageOptions::new()
///     .normalize(Normalize::ValueRange { low: 0.0, high: 1.0 })
///     .grid(Grid::new().nrow(4))
///     .file_type(FileType::Jpg { quality: 90 })
///     .max_images(16);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
#[must_use]
pub struct ImageOptions {
    normalize: Option<Normalize>,
    layout: Option<Layout>,
    mode: Option<Mode>,
    file_type: FileType,
    png_effort: PngEffort,
    grid: Grid,
    scale_each: Option<bool>,
    resize: Option<Resize>,
    max_side: Option<u32>,
    max_images: Option<usize>,
}

impl ImageOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How values become pixels. By default [`MinMax`](Normalize::MinMax) for tensors and
    /// [`ToUint8`](Normalize::ToUint8) for ndarray's arrays, as W&B documents it. For tensors of
    /// bytes that are pixels already, [`Off`](Normalize::Off).
    pub fn normalize(mut self, rule: Normalize) -> Self {
        self.normalize = Some(rule);
        self
    }

    /// How the dimensions are read. By default [`Chw`](Layout::Chw) for tensors and
    /// [`Hwc`](Layout::Hwc) for ndarray's arrays.
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = Some(layout);
        self
    }

    /// The mode of the picture. By default guessed from the channels; where they differ, the
    /// pixels are converted as Pillow does it.
    ///
    /// [`Mode::I16`] keeps 16 bits of one channel of integers or booleans, for depth maps, scans
    /// and ids over 255. They are taken as they are, from 0 to 65,535, whatever the default of
    /// [`normalize`](Self::normalize): what lies outside saturates, and the run says so. Another
    /// rule, more channels, and floats are an error: scale those to 0 to 65,535 and cast them
    /// first.
    ///
    /// ```
    /// use wandb_image::{HostTensor, ImageOptions, IntoWandbImage, Mode};
    ///
    /// let depth = HostTensor::new([1, 2, 2], vec![0_i32, 850, 40_000, 70_000])?;
    /// let image = depth.to_wandb_image_with(&ImageOptions::new().mode(Mode::I16))?;
    /// assert!(image.pixels()?.samples().eq([0, 850, 40_000, 65_535]));
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// The file format. [`Png`](FileType::Png) by default.
    pub fn file_type(mut self, file_type: FileType) -> Self {
        self.file_type = file_type;
        self
    }

    /// How much work goes into a small PNG file. [`Auto`](PngEffort::Auto) by default: quick on
    /// photographs, small on flat pictures. Means nothing for the other formats.
    ///
    /// ```
    /// use wandb_image::{HostTensor, ImageOptions, IntoWandbImage, PngEffort};
    ///
    /// let mask = HostTensor::new([64, 64], vec![0_u8; 4096])?;
    /// let options = ImageOptions::new().png_effort(PngEffort::Best);
    /// let image = mask.to_wandb_image_with(&options)?;
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn png_effort(mut self, effort: PngEffort) -> Self {
        self.png_effort = effort;
        self
    }

    /// How a batch is laid out as one picture, for
    /// [`to_wandb_image_with`](IntoWandbImage::to_wandb_image_with).
    pub fn grid(mut self, grid: Grid) -> Self {
        self.grid = grid;
        self
    }

    /// Whether each image of a batch has a range of its own. By default `false` for a grid (as in
    /// torchvision) and `true` for a list of images.
    pub fn scale_each(mut self, each: bool) -> Self {
        self.scale_each = Some(each);
        self
    }

    /// Another size for each image, before it goes into a grid. By default as it is.
    ///
    /// Masks and the pixels of boxes count in the resized picture: give masks the same size with
    /// [`MaskOptions::resize`]; boxes in [`Domain::Fraction`](crate::Domain::Fraction) stay right.
    pub fn resize(mut self, resize: Resize) -> Self {
        self.resize = Some(resize);
        self
    }

    /// The greatest width or height in pixels: a larger picture is made smaller, its proportions
    /// kept. No limit by default but that of every picture, 65,500, which also holds for a grid
    /// before it is made smaller.
    ///
    /// Masks and the pixels of boxes count in the smaller picture: `Resize::To` its width and
    /// height, with [`MaskOptions::resize`], gives a mask the same size.
    pub fn max_side(mut self, pixels: u32) -> Self {
        self.max_side = Some(pixels);
        self
    }

    /// At most this many images of a batch, the first ones; it is narrowed on its device, so that
    /// only they are moved. All by default.
    pub fn max_images(mut self, images: usize) -> Self {
        self.max_images = Some(images);
        self
    }

    /// How values become pixels, with the tensor's default where nothing says it.
    fn rule(&self, default: impl FnOnce() -> Normalize) -> Normalize {
        match (&self.normalize, self.mode) {
            (Some(rule), _) => rule.clone(),
            (None, Some(Mode::I16)) => Normalize::Off,
            (None, _) => default(),
        }
    }

    fn check(&self) -> Result<()> {
        self.file_type.check()?;
        let zero = |option, given: Option<usize>| match given {
            Some(0) => Err(Error::Option {
                option,
                given: "0".into(),
                expected: "it must be at least 1".into(),
            }),
            _ => Ok(()),
        };
        zero("max_images", self.max_images)?;
        zero("max_side", self.max_side.map(|side| side as usize))
    }
}

/// An image of a tensor of one grey pixel, which is read so.
#[cfg(test)]
pub(crate) fn image_read_by(read: impl FnOnce() -> Result<HostTensor> + Send + 'static) -> Image {
    struct Read(std::sync::Mutex<Option<Snapshot>>);

    impl IntoWandbImage for Read {
        fn to_host(&self) -> Result<HostTensor> {
            unreachable!("the snapshot is asked for")
        }
        fn shape(&self) -> Result<Vec<usize>> {
            Ok(vec![1, 1])
        }
        fn dtype(&self) -> Result<DType> {
            Ok(DType::U8)
        }
        fn snapshot(&self) -> Result<Snapshot> {
            Ok(self.0.lock().unwrap().take().unwrap())
        }
    }

    let snapshot = Snapshot::new([1, 1], DType::U8, read);
    let tensor = Read(std::sync::Mutex::new(Some(snapshot)));
    tensor.to_wandb_image().unwrap()
}
