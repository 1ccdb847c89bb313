//! [`Samples`]: the pictures of a step, one column for each role; and what can become some.

use super::choose::Choose;
use crate::convert::{ImageOptions, IntoWandbImage};
use crate::error::{BoxedError, Error, Result};
use crate::image::Image;
use crate::pixels::{Grid, Layout, Normalize};
use crate::tensor::{DType, HostTensor, Snapshot};

/// What the closure of [`SampleLogger::tick`](crate::SampleLogger::tick) returns.
///
/// | type | pictures |
/// | --- | --- |
/// | a tensor ([`IntoWandbImage`]) | of rank 4 one for each image of the batch, of rank 2 or 3 one |
/// | [`Samples`] | several for each sample: input, output, target |
/// | [`Image`], `Vec<Image>` | these |
/// | `Result` of any of these | the same, or the error, which `tick` returns |
///
/// The output of a training step of your own becomes one by a method of a few lines:
///
/// ```
/// use wandb_image::{HostTensor, IntoSamples, Result, Samples};
///
/// struct StepOutput {
///     input: HostTensor,
///     output: HostTensor,
/// }
///
/// impl IntoSamples for StepOutput {
///     fn into_samples<'a>(self) -> Result<Samples<'a>> {
///         Ok(Samples::new().column("input", self.input).column("output", self.output))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no samples to log",
    label = "needs `IntoSamples`",
    note = "a closure of a SampleLogger gives a tensor, `Samples`, a `Vec<Image>`, or a `Result` of one \
            of these; a tensor needs the feature of its framework in wandb-image (`candle`, `burn`, \
            `tch` or `ndarray`)"
)]
pub trait IntoSamples {
    /// The samples, or why there are none.
    ///
    /// # Errors
    ///
    /// Whatever made the samples fail: an error that isn't this crate's goes into
    /// [`Error::Sample`].
    fn into_samples<'a>(self) -> Result<Samples<'a>>
    where
        Self: 'a;
}

impl<T: IntoWandbImage> IntoSamples for T {
    fn into_samples<'a>(self) -> Result<Samples<'a>>
    where
        Self: 'a,
    {
        Ok(Samples::of(Pictures::Tensor(Box::new(self))))
    }
}

impl IntoSamples for Image {
    fn into_samples<'a>(self) -> Result<Samples<'a>> {
        vec![self].into_samples()
    }
}

impl IntoSamples for Vec<Image> {
    fn into_samples<'a>(self) -> Result<Samples<'a>> {
        Ok(Samples::of(Pictures::Images(self)))
    }
}

impl IntoSamples for Samples<'_> {
    fn into_samples<'a>(self) -> Result<Samples<'a>>
    where
        Self: 'a,
    {
        Ok(self)
    }
}

impl<S: IntoSamples, E: Into<BoxedError>> IntoSamples for Result<S, E> {
    fn into_samples<'a>(self) -> Result<Samples<'a>>
    where
        Self: 'a,
    {
        self.map_err(own_or_boxed)?.into_samples()
    }
}

fn own_or_boxed(error: impl Into<BoxedError>) -> Error {
    match error.into().downcast::<Error>() {
        Ok(own) => *own,
        Err(source) => Error::Sample { source },
    }
}

/// The pictures of a step, several for each sample: a column for each role, such as input, output
/// and target.
///
/// A column is anything that is [`IntoSamples`]: a tensor, given away or borrowed, a `Result` of
/// one, or images. All columns hold as many images; only those that are chosen
/// ([`SampleLogger::max_images`](crate::SampleLogger::max_images)) leave their device.
///
/// # What the row holds
///
/// One list of pictures, in which the columns of a sample follow one another: input 0, output 0,
/// input 1, output 1. Each is a file of its own, with the name of its column as its caption, and
/// after a comma the caption of the sample. With [`joined`](Self::joined), there is one picture
/// for each sample, with its columns side by side.
///
/// ```
/// use wandb_image::{Every, HostTensor, SampleLogger, Samples};
/// # let run = wandb_image::init().start_on(wandb_image::sink::MemorySink::new())?;
///
/// # let model = |batch: &HostTensor| batch.clone();
/// let input = HostTensor::new([4, 1, 2, 2], vec![0.5_f32; 16])?;
/// let losses = [0.25, 0.5, 0.125, 1.0];
/// let samples = SampleLogger::new(&run, "samples").every(Every::steps(100));
/// samples.tick(0, || {
///     Samples::new()
///         .column("input", &input)
///         .column("output", model(&input))
///         .captions(|i| format!("loss {}", losses[i]))
/// })?;
/// # Ok::<(), wandb_image::Error>(())
/// ```
#[must_use]
#[derive(Default)]
pub struct Samples<'a> {
    columns: Vec<Column<'a>>,
    captions: Option<Box<dyn Fn(usize) -> String + 'a>>,
    joined: Option<Grid>,
    /// The first column that failed.
    failed: Option<Error>,
}

struct Column<'a> {
    /// Empty where there is only one, which nobody named.
    name: String,
    pictures: Pictures<'a>,
    options: Option<ImageOptions>,
}

enum Pictures<'a> {
    Tensor(Box<dyn IntoWandbImage + 'a>),
    Images(Vec<Image>),
}

impl<'a> Samples<'a> {
    /// No column yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn of(pictures: Pictures<'a>) -> Self {
        let column = Column {
            name: String::new(),
            pictures,
            options: None,
        };
        Self {
            columns: vec![column],
            ..Self::default()
        }
    }

    /// Adds a column, treated as [`SampleLogger::options`](crate::SampleLogger::options) says.
    ///
    /// Of samples with columns of their own, each is added, its name after `name`. An error in
    /// `pictures` is returned by the tick.
    pub fn column(self, name: impl Into<String>, pictures: impl IntoSamples + 'a) -> Self {
        self.add(name.into(), pictures, None)
    }

    /// Adds a column with options of its own. They don't change images that exist.
    pub fn column_with(
        self,
        name: impl Into<String>,
        pictures: impl IntoSamples + 'a,
        options: &ImageOptions,
    ) -> Self {
        self.add(name.into(), pictures, Some(options))
    }

    fn add(
        mut self,
        name: String,
        pictures: impl IntoSamples + 'a,
        options: Option<&ImageOptions>,
    ) -> Self {
        match pictures.into_samples() {
            Ok(samples) => self.add_columns(&name, samples, options),
            Err(error) => self.failed = self.failed.or(Some(error)),
        }
        self
    }

    fn add_columns(&mut self, name: &str, samples: Samples<'a>, options: Option<&ImageOptions>) {
        self.columns
            .extend(samples.columns.into_iter().map(|column| Column {
                name: joined_names([name, &column.name], " "),
                pictures: column.pictures,
                options: column.options.or_else(|| options.cloned()),
            }));
        self.failed = self.failed.take().or(samples.failed);
    }

    /// The caption of each sample, by its index in the batch. Called for those that are logged.
    ///
    /// By default [`SampleLogger::captions`](crate::SampleLogger::captions), or that of an image.
    pub fn captions(mut self, caption: impl Fn(usize) -> String + 'a) -> Self {
        self.captions = Some(Box::new(caption));
        self
    }

    /// One picture for each sample, its columns side by side with this padding, as
    /// [`Image::joined`] does it. A column that doesn't change is no file of its own then.
    pub fn joined(mut self, grid: Grid) -> Self {
        self.joined = Some(grid);
        self
    }
}

impl std::fmt::Debug for Samples<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.columns.iter().map(|column| &*column.name).collect();
        f.debug_struct("Samples")
            .field("columns", &names)
            .field("joined", &self.joined)
            .finish_non_exhaustive()
    }
}

/// What a logger does with samples.
pub(super) struct Treatment<'t> {
    pub(super) choose: Choose,
    pub(super) max_images: usize,
    pub(super) options: &'t ImageOptions,
    /// The caption of a sample that brings none.
    pub(super) captions: &'t dyn Fn(usize) -> Option<String>,
}

impl Samples<'_> {
    /// How many samples there are: as many as each column holds images.
    pub(super) fn len(&self) -> Result<usize> {
        let counts = self.columns.iter().map(Column::count);
        let counts = counts.collect::<Result<Vec<_>>>()?;
        match counts.as_slice() {
            [] => Err(Error::Option {
                option: "the number of columns in Samples",
                given: "0".into(),
                expected: "samples need at least one: add it with Samples::column".into(),
            }),
            [first, rest @ ..] if rest.iter().all(|count| count == first) => Ok(*first),
            _ => Err(self.unequal(&counts)),
        }
    }

    fn unequal(&self, counts: &[usize]) -> Error {
        let names = self.columns.iter().map(|column| column.name.clone());
        Error::Columns {
            columns: names.zip(counts.iter().copied()).collect(),
        }
    }

    /// The pictures of the chosen samples, captioned: snapshots, made nowhere yet.
    pub(super) fn into_images(self, treatment: &Treatment<'_>) -> Result<Vec<Image>> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let images = self.len()?;
        let indices = treatment.choose.indices(images, treatment.max_images);
        let columns = self.columns.iter();
        let columns = columns.map(|column| column.images(images, &indices, treatment.options));
        let samples = self.transposed(columns.collect::<Result<_>>()?)?;
        let mut row = Vec::new();
        for (sample, index) in samples.into_iter().zip(indices) {
            let caption = match &self.captions {
                Some(caption) => Some(caption(index)),
                None => (treatment.captions)(index),
            };
            row.extend(self.pictures(sample, caption)?);
        }
        Ok(row)
    }

    /// From columns of images to samples. `ImageOptions::max_images` may have cut some columns.
    fn transposed(&self, columns: Vec<Vec<Image>>) -> Result<Vec<Vec<Image>>> {
        let counts: Vec<usize> = columns.iter().map(Vec::len).collect();
        let samples = counts.iter().copied().max().unwrap_or_default();
        if counts.iter().any(|&count| count != samples) {
            return Err(self.unequal(&counts));
        }
        let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
        let sample = |_| columns.iter_mut().filter_map(Iterator::next).collect();
        Ok((0..samples).map(sample).collect())
    }

    /// The pictures of one sample.
    fn pictures(&self, sample: Vec<Image>, caption: Option<String>) -> Result<Vec<Image>> {
        let names = self.columns.iter().map(|column| &*column.name);
        match self.joined {
            None => {
                let pictures = names.zip(sample);
                let pictures = pictures.map(|(name, image)| captioned(image, name, &caption));
                Ok(pictures.collect())
            }
            Some(grid) => {
                let names = joined_names(names, " | ");
                let image = Image::joined(sample, grid)?;
                Ok(vec![captioned(image, &names, &caption)])
            }
        }
    }
}

fn captioned(image: Image, name: &str, caption: &Option<String>) -> Image {
    let caption = caption.as_deref().or(image.caption_text());
    match joined_names([name, caption.unwrap_or_default()], ", ") {
        text if text.is_empty() => image,
        text => image.caption(text),
    }
}

fn joined_names<'n>(names: impl IntoIterator<Item = &'n str>, separator: &str) -> String {
    let names = names.into_iter().filter(|name| !name.is_empty());
    Vec::from_iter(names).join(separator)
}

impl Column<'_> {
    fn count(&self) -> Result<usize> {
        match &self.pictures {
            Pictures::Images(images) => Ok(images.len()),
            Pictures::Tensor(tensor) => Ok(images_in(&tensor.shape()?)),
        }
    }

    /// The images `indices` of the `images` there are.
    fn images(
        &self,
        images: usize,
        indices: &[usize],
        options: &ImageOptions,
    ) -> Result<Vec<Image>> {
        match &self.pictures {
            Pictures::Images(images) => {
                let chosen = indices.iter().filter_map(|&index| images.get(index));
                Ok(chosen.cloned().collect())
            }
            Pictures::Tensor(tensor) => {
                let options = self.options.as_ref().unwrap_or(options);
                let tensor = &**tensor;
                if indices.len() == images {
                    return tensor.to_wandb_images_with(options);
                }
                Chosen { tensor, indices }.to_wandb_images_with(options)
            }
        }
    }
}

/// A batch has rank 4; what has another rank is one image, or refused later.
fn images_in(shape: &[usize]) -> usize {
    match shape {
        [images, _, _, _] => *images,
        _ => 1,
    }
}

/// Some images of a batch, which are narrowed on its device.
struct Chosen<'t> {
    tensor: &'t dyn IntoWandbImage,
    indices: &'t [usize],
}

impl IntoWandbImage for Chosen<'_> {
    fn to_host(&self) -> Result<HostTensor> {
        self.snapshot()?.into_host()
    }
    fn shape(&self) -> Result<Vec<usize>> {
        let mut shape = self.tensor.shape()?;
        shape[0] = self.indices.len();
        Ok(shape)
    }
    fn dtype(&self) -> Result<DType> {
        self.tensor.dtype()
    }
    fn default_layout(&self) -> Layout {
        self.tensor.default_layout()
    }
    fn default_normalize(&self) -> Normalize {
        self.tensor.default_normalize()
    }
    fn select(&self, indices: &[usize]) -> Result<Snapshot> {
        let indices: Vec<usize> = indices.iter().map(|&index| self.indices[index]).collect();
        self.tensor.select(&indices)
    }
    fn snapshot(&self) -> Result<Snapshot> {
        self.tensor.select(self.indices)
    }
}
