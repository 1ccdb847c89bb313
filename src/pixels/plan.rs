//! Everything that is known of a picture before its values are: checked once, from the shape
//! and the options.

use super::deep;
use super::grid::{Grid, Placement};
use super::interleave;
use super::layout::Layout;
use super::mode::{self, Mode};
use super::normalize::{self, Normalize};
use super::range::{self, Observed, Range};
use super::resize::{self, Resize};
use super::sample::{Sample, Wide};
use super::{MAX_DIMENSION, Pixels, check_images, check_size, check_tensor};
use crate::error::{Error, Result};
use crate::tensor::{DType, HostTensor, each_dtype};

/// What the options ask for, defaults filled in.
#[derive(Clone, Debug)]
pub(crate) struct Treatment {
    pub(crate) layout: Layout,
    pub(crate) normalize: Normalize,
    pub(crate) mode: Option<Mode>,
    pub(crate) output: Output,
    pub(crate) scale_each: Option<bool>,
    pub(crate) resize: Option<Resize>,
    pub(crate) max_side: Option<u32>,
}

/// What becomes of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output {
    /// One picture.
    Grid(Grid),
    /// As many pictures as it holds.
    Each,
}

/// How tensors of one shape become pictures. A plan that exists can be carried out: only a
/// tensor of another shape is an error.
#[derive(Debug)]
pub(crate) struct Plan {
    dims: Dims,
    layout: Layout,
    normalize: Normalize,
    /// The mode that the channels make, and the one that was asked for.
    modes: (Mode, Mode),
    placement: Option<(Grid, Placement)>,
    scale_each: bool,
    /// The size of one image in the tensor, and after `resize`.
    image: Sizes,
    /// The size of a picture before `max_side`, and after.
    picture: Sizes,
}

#[derive(Clone, Copy, Debug)]
struct Sizes {
    from: (usize, usize),
    to: (usize, usize),
}

impl Plan {
    pub(crate) fn new(shape: &[usize], dtype: DType, treatment: Treatment) -> Result<Self> {
        let Treatment {
            layout, normalize, ..
        } = treatment;
        let dims = Dims::read(shape, layout)?;
        let native = native_mode(shape, layout, dims.channels, treatment.mode)?;
        if treatment.mode == Some(Mode::I16) {
            check_deep(shape, dtype, &normalize, dims.channels)?;
        }
        normalize.check(dims.channels)?;
        let from = (dims.width, dims.height);
        let to = treatment.resize.map_or(Ok(from), |r| r.size(from))?;
        let mode = treatment.mode.unwrap_or(native);
        let bytes_per_pixel = native.bytes_per_pixel().max(mode.bytes_per_pixel());
        let image = Sizes { from, to };
        check_size(to.0, to.1, bytes_per_pixel)?;
        check_tensor(shape, dtype)?;
        check_images(shape, dims.images)?;
        resize::check(from, to)?;
        let placement = match treatment.output {
            Output::Each => None,
            Output::Grid(grid) => Some((grid, place(grid, dims.images, image.to)?)),
        };
        let whole = placement.map_or(image.to, |(_, placement)| placement.size);
        let limit = treatment
            .max_side
            .map_or(MAX_DIMENSION, |side| side as usize);
        check_size(whole.0, whole.1, bytes_per_pixel)?;
        let picture = Sizes {
            from: whole,
            to: resize::limited(whole, limit),
        };
        resize::check(picture.from, picture.to)?;
        Ok(Self {
            dims,
            layout,
            normalize,
            modes: (native, mode),
            placement,
            scale_each: treatment.scale_each.unwrap_or(placement.is_none()),
            image,
            picture,
        })
    }

    /// How many pictures there will be.
    pub(crate) fn images(&self) -> usize {
        match self.placement {
            Some(_) => 1,
            None => self.dims.images,
        }
    }

    /// Width and height of each picture, in pixels.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.picture.to.0 as u32, self.picture.to.1 as u32)
    }

    pub(crate) fn mode(&self) -> Mode {
        self.modes.1
    }

    /// The range over the whole tensor, where the images share it.
    pub(crate) fn shared_range(&self, tensor: &HostTensor) -> Option<Range> {
        let shared = !self.scale_each && self.placement.is_none();
        shared.then(|| each_dtype!(tensor.elements(), values => range::scan(values)))
    }

    /// Picture `index` of a tensor of this plan's shape, and what was seen of its values.
    pub(crate) fn render(
        &self,
        tensor: &HostTensor,
        index: usize,
        shared: Option<&Range>,
    ) -> Result<(Pixels, Observed)> {
        let expected = self.dims.len();
        each_dtype!(tensor.elements(), values => {
            if values.len() != expected {
                return Err(Error::Length { shape: tensor.shape().to_vec(), given: expected });
            }
            let (data, observed) = match self.placement {
                Some((grid, placement)) => self.grid(values, grid, placement),
                None => self.image(values, index, shared),
            };
            Ok((self.finish(data)?, observed))
        })
    }

    fn grid<T: Sample>(
        &self,
        values: &[T],
        grid: Grid,
        placement: Placement,
    ) -> (Vec<u8>, Observed) {
        let bytes_per_pixel = self.modes.0.bytes_per_pixel();
        let whole = (!self.scale_each).then(|| range::scan(values));
        let mut out = self.padding::<T>(grid, placement.size.0 * placement.size.1);
        let mut seen: Option<Observed> = None;
        for index in 0..self.dims.images {
            let (image, observed) = self.image(values, index, whole.as_ref());
            placement.paste(&mut out, index, &image, self.image.to.0, bytes_per_pixel);
            seen = Some(match seen {
                Some(seen) => seen.and(observed),
                None => observed,
            });
        }
        let seen = seen.unwrap_or_else(|| Observed::new(&range::scan::<T>(&[]), &[], 0));
        (out, seen)
    }

    fn padding<T: Sample>(&self, grid: Grid, pixels: usize) -> Vec<u8> {
        match self.modes.0 {
            Mode::I16 => deep::to_bytes(vec![(grid.pad_value * deep::WHITE) as u16; pixels]),
            native => vec![pad_pixel::<T>(grid); pixels * native.channels()],
        }
    }

    fn image<T: Sample>(
        &self,
        values: &[T],
        index: usize,
        shared: Option<&Range>,
    ) -> (Vec<u8>, Observed) {
        let len = self.dims.image_len();
        let values = &values[index * len..(index + 1) * len];
        let own = shared
            .and_then(|whole| whole.of_part(len))
            .unwrap_or_else(|| range::scan(values));
        let (data, observed) = match self.modes.0 {
            Mode::I16 => deep(values, &own),
            _ => self.normalized(values, &own, shared.unwrap_or(&own)),
        };
        let data = resize::resize(data, self.modes.0, self.image.from, self.image.to);
        (data, observed)
    }

    fn normalized<T: Sample>(
        &self,
        values: &[T],
        own: &Range,
        range: &Range,
    ) -> (Vec<u8>, Observed) {
        let maps = normalize::maps::<T>(&self.normalize, range);
        let outside = range::count_outside(values, own, &maps, self.layout);
        let observed = Observed::new(own, &maps, outside);
        let data = interleave::pixels(values, self.dims.channels, self.layout, &maps);
        (data, observed)
    }

    fn finish(&self, data: Vec<u8>) -> Result<Pixels> {
        let (native, mode) = self.modes;
        let data = mode::convert(data, native, mode);
        let data = resize::resize(data, mode, self.picture.from, self.picture.to);
        let (width, height) = self.size();
        Pixels::new(width, height, mode, data)
    }
}

/// Grey of 16 bits.
fn deep<T: Sample>(values: &[T], range: &Range) -> (Vec<u8>, Observed) {
    let expected = (0.0, deep::WHITE);
    let outside = range::count_beyond(values, range, expected);
    let observed = Observed::within(range, expected, outside);
    (deep::pixels(values), observed)
}

/// The padding is a value of the tensor's dtype, as in torchvision.
fn pad_pixel<T: Sample>(grid: Grid) -> u8 {
    let value = T::round(T::Wide::from_f64(grid.pad_value));
    T::round(value * T::Wide::from_f64(255.0)).to_u8()
}

fn place(grid: Grid, images: usize, size: (usize, usize)) -> Result<Placement> {
    grid.check()?;
    Ok(grid.place(images, size))
}

/// The dimensions of a tensor, by what they mean.
#[derive(Clone, Copy, Debug)]
struct Dims {
    images: usize,
    channels: usize,
    height: usize,
    width: usize,
}

impl Dims {
    fn read(shape: &[usize], layout: Layout) -> Result<Self> {
        let (images, channels, height, width) = match (shape, layout) {
            (&[h, w], _) => (1, 1, h, w),
            (&[c, h, w], Layout::Chw) => (1, c, h, w),
            (&[h, w, c], Layout::Hwc) => (1, c, h, w),
            (&[n, c, h, w], Layout::Chw) => (n, c, h, w),
            (&[n, h, w, c], Layout::Hwc) => (n, c, h, w),
            _ => {
                return Err(Error::Rank {
                    shape: shape.to_vec(),
                });
            }
        };
        if shape.contains(&0) {
            return Err(Error::Empty {
                shape: shape.to_vec(),
            });
        }
        Ok(Self {
            images,
            channels,
            height,
            width,
        })
    }

    fn image_len(self) -> usize {
        self.channels * self.height * self.width
    }

    fn len(self) -> usize {
        self.images * self.image_len()
    }
}

fn native_mode(
    shape: &[usize],
    layout: Layout,
    channels: usize,
    asked: Option<Mode>,
) -> Result<Mode> {
    let mode = match (Mode::of_channels(channels), asked) {
        (Some(Mode::L), Some(Mode::I16)) => Some(Mode::I16),
        (mode, _) => mode,
    };
    match mode {
        Some(mode) if mode != Mode::La || asked == Some(Mode::La) => Ok(mode),
        _ => Err(Error::Channels {
            shape: shape.to_vec(),
            dimensions: layout.dimensions(shape.len()),
            channels,
            hint: channels_hint(shape, layout, channels),
        }),
    }
}

/// The mode that W&B guesses for a tensor of this shape.
pub(super) fn guess_mode(shape: &[usize], layout: Layout) -> Result<Mode> {
    let dims = Dims::read(shape, layout)?;
    native_mode(shape, layout, dims.channels, None)
}

/// Refuses what can't be taken as it is for grey of 16 bits.
fn check_deep(shape: &[usize], dtype: DType, normalize: &Normalize, channels: usize) -> Result<()> {
    let (given, expected) = if channels != 1 {
        (
            format!("a tensor of shape {shape:?}, with {channels} channels"),
            "it is grey: select one channel, or choose another mode",
        )
    } else if dtype.is_float() {
        (
            format!("a tensor of dtype {dtype}"),
            "it takes integers and booleans as they are: scale the values to 0 to 65535 and cast \
             them to u16 (or i32, where there is no u16), or choose another mode",
        )
    } else if *normalize != Normalize::Off {
        (
            format!("the rule {normalize:?}"),
            "it takes the values as they are: leave `normalize` out and scale them to 0 to 65535 \
             before, or choose another mode",
        )
    } else {
        return Ok(());
    };
    Err(Error::Option {
        option: "the mode",
        given: format!("I;16 for {given}"),
        expected: expected.into(),
    })
}

fn channels_hint(shape: &[usize], layout: Layout, channels: usize) -> String {
    let image = &shape[shape.len() - 3..];
    let [first, _, last] = *image else {
        return String::new();
    };
    let fits = |channels| matches!(channels, 1 | 3 | 4);
    match layout {
        Layout::Chw if fits(last) => {
            let batch = match shape.len() {
                3 => format!(
                    "; where it is a batch of grey images, reshape it to ({first}, 1, {}, {last})",
                    image[1]
                ),
                _ => String::new(),
            };
            format!(
                "; its last dimension is {last}: where the channels come last, set \
                 ImageOptions::layout(Layout::Hwc){batch}"
            )
        }
        Layout::Hwc if fits(first) => format!(
            "; its dimension before height and width is {first}: where the channels come first, \
             set ImageOptions::layout(Layout::Chw)"
        ),
        _ if channels == 2 => {
            "; select one first, or set ImageOptions::mode(Mode::La) for grey with alpha".into()
        }
        _ if shape.len() == 3 => {
            "; select the channels to show first, or, where it is a batch of grey images, reshape \
             it to (N, 1, H, W)"
                .into()
        }
        _ => "; select the channels to show first".into(),
    }
}
