//! One table of cases, run through each framework: whatever holds the values, and however its
//! view of them lies in memory, the pictures are byte-equal to those of a [`HostTensor`].

use half::{bf16, f16};
use wandb_image::tensor::Elements;
use wandb_image::{
    BoundingBox, BoundingBoxes2D, BoxFormat, DType, Domain, Error, FileType, Grid, HostTensor,
    ImageMask, ImageOptions, IntoWandbImage, Layout, Mode, Normalize, Pixels, Resize,
};

const DTYPES: [DType; 13] = [
    DType::Bool,
    DType::U8,
    DType::I8,
    DType::U16,
    DType::I16,
    DType::U32,
    DType::I32,
    DType::U64,
    DType::I64,
    DType::F16,
    DType::BF16,
    DType::F32,
    DType::F64,
];

const SHAPES: [&[usize]; 15] = [
    &[5, 7],
    &[1, 5, 7],
    &[3, 4, 5],
    &[4, 4, 5],
    &[5, 1, 3, 4],
    &[3, 3, 4, 5],
    &[1, 3, 4, 5],
    &[9, 4, 1, 2],
    &[4, 5, 3],
    &[4, 3, 2, 1],
    // No pictures: the error is the same, too.
    &[4],
    &[2, 4, 5],
    &[1, 1, 1, 2, 2],
    &[3, 0, 4],
    &[0, 3, 4, 4],
];

fn option_sets() -> Vec<ImageOptions> {
    let new = ImageOptions::new;
    let rule = |rule| new().normalize(rule);
    let hwc = || new().layout(Layout::Hwc);
    vec![
        rule(Normalize::MinMax),
        rule(Normalize::ValueRange {
            low: -1.0,
            high: 100.0,
        }),
        rule(Normalize::Unit),
        rule(Normalize::Signed),
        rule(Normalize::MeanStd {
            mean: vec![0.5],
            std: vec![0.25],
        }),
        rule(Normalize::MeanStd {
            mean: vec![0.4, 0.5, 0.6],
            std: vec![0.2, 0.3, 0.4],
        }),
        rule(Normalize::Guess),
        rule(Normalize::ToUint8),
        rule(Normalize::Off),
        new().layout(Layout::Chw),
        hwc(),
        hwc().normalize(Normalize::Off).mode(Mode::Rgb),
        new().grid(Grid::new().nrow(3).padding(1).pad_value(0.5)),
        new().grid(Grid::new().nrow(1).padding(0)).scale_each(true),
        new().scale_each(false),
        new().max_images(2),
        new().max_images(1).layout(Layout::Hwc),
        new().max_images(100),
        new().max_images(0),
        new().mode(Mode::L),
        new().mode(Mode::Rgba),
        new().mode(Mode::La),
        new().resize(Resize::Enlarge(2)),
        new().max_side(4),
        new().file_type(FileType::Jpg { quality: 75 }),
    ]
}

/// What the numbers of a case look like.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pattern {
    /// 0 to 250, in no order.
    Bytes,
    /// −1 to 1.
    Signed,
    /// Not a number, infinite, out of every range.
    Special,
    /// Alike in every slice of the first dimension.
    Repeated,
}

impl Pattern {
    fn number(self, index: usize, slice: usize) -> f64 {
        let byte = |index: usize| (index * 37 % 251) as f64;
        match self {
            Pattern::Bytes => byte(index),
            Pattern::Signed => byte(index) / 125.0 - 1.0,
            Pattern::Special => match index % 7 {
                0 => f64::NAN,
                1 => f64::INFINITY,
                2 => f64::NEG_INFINITY,
                3 => -70_000.0,
                4 => 1e-8,
                _ => byte(index) * 3.7,
            },
            Pattern::Repeated => byte(index % slice.max(1)),
        }
    }
}

struct Case {
    dtype: DType,
    numbers: Numbers,
    pattern: Pattern,
    options: ImageOptions,
}

impl Case {
    fn new(dtype: DType, shape: &[usize], pattern: Pattern, options: ImageOptions) -> Self {
        let slice = shape.iter().skip(1).product();
        let numbers = (0..shape.iter().product()).map(|index| pattern.number(index, slice));
        Self {
            dtype,
            numbers: Numbers {
                shape: shape.to_vec(),
                values: numbers.collect(),
            },
            pattern,
            options,
        }
    }
}

/// Every dtype with every shape and pattern, also narrowed, and every option with every shape.
fn cases() -> Vec<Case> {
    use Pattern::{Bytes, Repeated, Signed, Special};
    let mut cases = Vec::new();
    for shape in SHAPES {
        for dtype in DTYPES {
            for pattern in [Bytes, Signed, Special, Repeated] {
                cases.push(Case::new(dtype, shape, pattern, ImageOptions::new()));
            }
            let some = ImageOptions::new().max_images(2);
            cases.push(Case::new(dtype, shape, Signed, some));
        }
        for options in option_sets() {
            cases.push(Case::new(DType::F32, shape, Signed, options.clone()));
            cases.push(Case::new(DType::I32, shape, Bytes, options));
        }
    }
    cases
}

/// How a framework's tensor views the storage that it was made of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum View {
    Whole,
    /// The dimensions in reverse order.
    Transposed,
    /// The last dimension without its first and last index.
    Narrowed,
    /// Every second index of the last dimension.
    Strided,
    /// The last dimension backwards.
    Reversed,
    /// One slice for all of the first dimension.
    Broadcast,
}

const VIEWS: [View; 6] = [
    View::Whole,
    View::Transposed,
    View::Narrowed,
    View::Strided,
    View::Reversed,
    View::Broadcast,
];

/// A tensor of numbers that any dtype can be made of.
struct Numbers {
    shape: Vec<usize>,
    values: Vec<f64>,
}

impl Numbers {
    /// The storage which, seen through `view`, is these numbers.
    fn storage(&self, view: View) -> Numbers {
        let last = self.shape.len() - 1;
        let with = |dim: usize, len: usize| {
            let mut shape = self.shape.clone();
            shape[dim] = len;
            shape
        };
        let at_last = |index: &[usize], of_last: Option<usize>| {
            let mut index = index.to_vec();
            index[last] = of_last?;
            Some(index)
        };
        let width = self.shape[last];
        match view {
            View::Whole => self.gather(self.shape.clone(), |index| Some(index.to_vec())),
            View::Transposed => {
                let shape = self.shape.iter().rev().copied().collect();
                self.gather(shape, |index| Some(index.iter().rev().copied().collect()))
            }
            View::Narrowed => self.gather(with(last, width + 2), |index| {
                at_last(index, index[last].checked_sub(1).filter(|&i| i < width))
            }),
            View::Strided => self.gather(with(last, width * 2), |index| {
                at_last(index, (index[last] % 2 == 0).then_some(index[last] / 2))
            }),
            View::Reversed => self.gather(self.shape.clone(), |index| {
                at_last(index, Some(width - 1 - index[last]))
            }),
            View::Broadcast => self.gather(with(0, 1), |index| Some(index.to_vec())),
        }
    }

    /// Numbers of this shape, each from the index that `from` names, or one that isn't here.
    fn gather(&self, shape: Vec<usize>, from: impl Fn(&[usize]) -> Option<Vec<usize>>) -> Numbers {
        let outside = 77.0;
        let values = (0..shape.iter().product()).map(|flat| {
            from(&unravel(flat, &shape)).map_or(outside, |index| self.values[self.ravel(&index)])
        });
        Numbers {
            values: values.collect(),
            shape,
        }
    }

    fn ravel(&self, index: &[usize]) -> usize {
        let dims = self.shape.iter().zip(index);
        dims.fold(0, |flat, (&dim, &index)| flat * dim + index)
    }

    fn to_host(&self, dtype: DType) -> HostTensor {
        macro_rules! host {
            ($cast:expr) => {
                HostTensor::new(
                    self.shape.clone(),
                    self.values.iter().copied().map($cast).collect(),
                )
            };
        }
        let host = match dtype {
            DType::Bool => host!(|v: f64| v > 100.0),
            DType::U8 => host!(|v| v as u8),
            DType::I8 => host!(|v| v as i8),
            DType::U16 => host!(|v| v as u16),
            DType::I16 => host!(|v| v as i16),
            DType::U32 => host!(|v| v as u32),
            DType::I32 => host!(|v| v as i32),
            DType::U64 => host!(|v| v as u64),
            DType::I64 => host!(|v| v as i64),
            DType::F16 => host!(f16::from_f64),
            DType::BF16 => host!(bf16::from_f64),
            DType::F32 => host!(|v| v as f32),
            DType::F64 => host!(|v| v),
            other => panic!("a new dtype, {other}, has no case"),
        };
        host.unwrap()
    }
}

fn unravel(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (i, &dim) in index.iter_mut().zip(shape).rev() {
        *i = flat % dim;
        flat /= dim;
    }
    index
}

/// A framework under test.
struct Framework<'a> {
    name: &'a str,
    /// The dtypes it holds.
    dtypes: &'a [DType],
    /// The views that it has no word for.
    lacks: &'a [View],
    /// How it reads dimensions and values where no option says it.
    defaults: (Layout, Normalize),
    make: &'a Make<'a>,
}

/// Makes a tensor of the storage, views it, so that it has the shape given, and shows it; shows
/// nothing where the framework lacks the dtype or the view.
type Make<'a> = dyn Fn(&HostTensor, View, &[usize], Show<'_>) + 'a;

type Show<'a> = &'a mut dyn FnMut(&dyn IntoWandbImage);

impl Framework<'_> {
    fn check(&self) {
        for case in cases() {
            let reference = Reference {
                tensor: case.numbers.to_host(case.dtype),
                defaults: self.defaults.clone(),
            };
            let expected = outcome(&reference, &case.options);
            for view in VIEWS {
                self.check_case(&case, view, &expected);
            }
        }
        self.check_boxes();
    }

    /// The tensors of a detection head give the boxes that the same values on the host give.
    fn check_boxes(&self) {
        let corners = HostTensor::new([3, 4], (0_u8..12).map(f32::from).collect()).unwrap();
        let ids = HostTensor::new([3], vec![7_i64, 0, 300]).unwrap();
        let scores = HostTensor::new([3], vec![0.5_f32, 0.25, 1.0]).unwrap();
        let expected = boxes(&corners, &ids, &scores);
        assert_eq!(expected.len(), 3);
        let show = |tensor: &HostTensor, show: Show<'_>| {
            (self.make)(tensor, View::Whole, tensor.shape(), show);
        };
        let mut shown = 0;
        show(&corners, &mut |corners| {
            show(&ids, &mut |ids| {
                show(&scores, &mut |scores| {
                    assert_eq!(boxes(corners, ids, scores), expected, "{}", self.name);
                    shown += 1;
                });
            });
        });
        assert_eq!(shown, 1, "{}", self.name);
    }

    fn check_case(&self, case: &Case, view: View, expected: &Outcome) {
        let shape = &case.numbers.shape;
        let repeats = case.pattern == Pattern::Repeated && !case.numbers.values.is_empty();
        if view == View::Broadcast && !repeats {
            return;
        }
        let storage = case.numbers.storage(view).to_host(case.dtype);
        let mut shown = 0;
        (self.make)(&storage, view, shape, &mut |tensor| {
            let given = outcome(tensor, &case.options);
            assert_eq!(
                &given, expected,
                "{} differs: {view:?}, {} {shape:?}, {:?}, {:?}",
                self.name, case.dtype, case.pattern, case.options
            );
            assert_eq!(&tensor.shape().unwrap(), shape);
            assert_eq!(tensor.dtype().unwrap(), case.dtype);
            shown += 1;
        });
        let is_held = self.dtypes.contains(&case.dtype) && !self.lacks.contains(&view);
        assert_eq!(
            shown,
            usize::from(is_held),
            "{}: {view:?} of {} {shape:?}",
            self.name,
            case.dtype
        );
    }
}

/// What a framework's pictures must equal: those of the same values on the host.
struct Reference {
    tensor: HostTensor,
    defaults: (Layout, Normalize),
}

impl IntoWandbImage for Reference {
    fn to_host(&self) -> Result<HostTensor, Error> {
        Ok(self.tensor.clone())
    }
    fn default_layout(&self) -> Layout {
        self.defaults.0
    }
    fn default_normalize(&self) -> Normalize {
        self.defaults.1.clone()
    }
}

/// A tensor as one picture and as several, as one mask and as several, or why not.
#[derive(Debug, PartialEq)]
struct Outcome {
    picture: Result<Pixels, String>,
    pictures: Result<Vec<Pixels>, String>,
    mask: Result<Pixels, String>,
    masks: Result<Vec<Pixels>, String>,
}

fn outcome(tensor: &dyn IntoWandbImage, options: &ImageOptions) -> Outcome {
    let pixels = |image: wandb_image::Image| Pixels::clone(&image.pixels().unwrap());
    let ids = |mask: ImageMask| mask.ids().map(|ids| Pixels::clone(&ids));
    let masks = tensor.to_wandb_masks();
    let pictures = tensor.to_wandb_images_with(options);
    Outcome {
        picture: told(tensor.to_wandb_image_with(options).map(pixels)),
        pictures: told(pictures.map(|images| images.into_iter().map(pixels).collect())),
        mask: told(tensor.to_wandb_mask().and_then(ids)),
        masks: told(masks.and_then(|masks| masks.into_iter().map(ids).collect())),
    }
}

fn boxes(
    corners: &dyn IntoWandbImage,
    ids: &dyn IntoWandbImage,
    scores: &dyn IntoWandbImage,
) -> Vec<BoundingBox> {
    let boxes = BoundingBoxes2D::from_tensor(corners, BoxFormat::Xyxy, Domain::Pixel);
    let boxes = boxes.and_then(|boxes| boxes.class_ids(ids)?.scores("confidence", scores));
    boxes.and_then(|boxes| boxes.boxes_in(20, 20)).unwrap()
}

fn told<T>(result: Result<T, Error>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

/// An image shows its tensor as it was when the image was made, whatever `write` does to it.
fn check_immune<T: IntoWandbImage>(mut tensor: T, write: impl FnOnce(&mut T)) {
    let pixels = |images: &[wandb_image::Image]| {
        Vec::from_iter(images.iter().map(|image| image.pixels().unwrap()))
    };
    let make = |tensor: &T| {
        let two = ImageOptions::new().max_images(2);
        let mut images = tensor.to_wandb_images().unwrap();
        images.push(tensor.to_wandb_image().unwrap());
        images.push(tensor.to_wandb_image_with(&two).unwrap());
        images
    };
    let before = pixels(&make(&tensor));
    let images = make(&tensor);
    write(&mut tensor);
    assert_ne!(pixels(&make(&tensor)), before, "the write reached nothing");
    assert_eq!(pixels(&images), before);
}

/// Four pictures of one channel, no two alike.
fn batch() -> HostTensor {
    let numbers = Case::new(
        DType::F32,
        &[4, 1, 3, 2],
        Pattern::Bytes,
        ImageOptions::new(),
    )
    .numbers;
    numbers.to_host(DType::F32)
}

/// The dtypes that the table of integrations/README.md promises for a framework.
fn promised(framework: &str) -> Vec<DType> {
    let readme = include_str!("../../integrations/README.md");
    let mut rows = readme
        .lines()
        .skip_while(|line| !line.starts_with("| dtype"))
        .take_while(|line| line.starts_with('|'))
        .map(|line| Vec::from_iter(line.trim_matches('|').split('|').map(str::trim)));
    let header = rows.next().unwrap();
    let column = header.iter().position(|&cell| cell == framework).unwrap();
    let promised = rows.filter(|row| row[column].starts_with('`'));
    let names = Vec::from_iter(promised.map(|row| row[0].trim_matches('`').to_owned()));
    let held = DTYPES
        .into_iter()
        .filter(|d| names.contains(&format!("{d:?}")));
    held.collect()
}

#[cfg(feature = "candle")]
mod on_candle {
    use candle_core::{Device, Tensor, Var, WithDType};

    use super::*;

    fn make(storage: &HostTensor, view: View, shape: &[usize], show: Show<'_>) {
        if let Some(tensor) = tensor(storage).and_then(|tensor| seen(tensor, view, shape)) {
            show(&tensor);
        }
    }

    fn tensor(storage: &HostTensor) -> Option<Tensor> {
        fn of<T: WithDType>(values: &[T], shape: &[usize]) -> Option<Tensor> {
            Some(Tensor::from_slice(values, shape, &Device::Cpu).unwrap())
        }
        let shape = storage.shape();
        match storage.elements() {
            Elements::U8(values) => of(values, shape),
            Elements::U32(values) => of(values, shape),
            Elements::I16(values) => of(values, shape),
            Elements::I32(values) => of(values, shape),
            Elements::I64(values) => of(values, shape),
            Elements::F16(values) => of(values, shape),
            Elements::BF16(values) => of(values, shape),
            Elements::F32(values) => of(values, shape),
            Elements::F64(values) => of(values, shape),
            _ => None,
        }
    }

    fn seen(tensor: Tensor, view: View, shape: &[usize]) -> Option<Tensor> {
        let last = shape.len() - 1;
        let seen = match view {
            View::Whole => Ok(tensor),
            View::Transposed => tensor.permute(Vec::from_iter((0..shape.len()).rev())),
            View::Narrowed => tensor.narrow(last, 1, shape[last]),
            View::Strided => {
                let pairs = [shape, &[2]].concat();
                let first = tensor.reshape(pairs).unwrap().narrow(last + 1, 0, 1);
                first.unwrap().squeeze(last + 1)
            }
            View::Broadcast => tensor.broadcast_as(shape),
            View::Reversed => return None,
        };
        Some(seen.unwrap())
    }

    #[test]
    fn candle_gives_the_same_pictures() {
        let framework = Framework {
            name: "candle",
            dtypes: &promised("candle"),
            lacks: &[View::Reversed],
            defaults: (Layout::Chw, Normalize::MinMax),
            make: &make,
        };
        framework.check();
    }

    #[test]
    fn f8e4m3_gives_the_pictures_of_its_values() {
        let bytes = Vec::from_iter((0..=u8::MAX).filter(|byte| byte & 0x7f != 0x7f));
        let dtype = candle_core::DType::F8E4M3;
        let tensor = Tensor::from_raw_buffer(&bytes, dtype, &[2, 127], &Device::Cpu).unwrap();
        let widened = tensor.to_dtype(candle_core::DType::F32).unwrap();
        let options = ImageOptions::new();
        assert_eq!(outcome(&tensor, &options), outcome(&widened, &options));
    }

    #[test]
    fn an_image_doesnt_see_an_optimiser_step() {
        let views: [fn(&Tensor) -> Tensor; 4] = [
            Tensor::clone,
            Tensor::detach,
            |t| t.transpose(2, 3).unwrap(),
            |t| t.reshape((4, 1, 1, 6)).unwrap(),
        ];
        for view in views {
            let var = Var::from_tensor(&tensor(&batch()).unwrap()).unwrap();
            let step = var.sqr().unwrap();
            check_immune(view(&var), |_| var.set(&step).unwrap());
        }
    }

    #[test]
    fn an_image_doesnt_see_slice_set() {
        let zeros = Tensor::zeros((1, 1, 3, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        let tensor = tensor(&batch()).unwrap();
        check_immune(tensor.clone(), |_| tensor.slice_set(&zeros, 0, 1).unwrap());
    }
}

#[cfg(feature = "ndarray")]
mod on_ndarray {
    use ndarray::{ArrayD, Axis, Slice};

    use super::*;

    fn make(storage: &HostTensor, view: View, shape: &[usize], show: Show<'_>) {
        macro_rules! show_each {
            ($($variant:ident),*) => {
                match storage.elements() {
                    $(Elements::$variant(values) => {
                        let array = ArrayD::from_shape_vec(storage.shape(), values.clone());
                        show_view(array.unwrap(), view, shape, show);
                    })*
                    other => panic!("no array of {other:?}"),
                }
            };
        }
        show_each!(
            Bool, U8, I8, U16, I16, U32, I32, U64, I64, F16, BF16, F32, F64
        );
    }

    fn show_view<A>(array: ArrayD<A>, view: View, shape: &[usize], show: Show<'_>)
    where
        A: wandb_image::tensor::Element,
    {
        let last = Axis(shape.len() - 1);
        let sliced = |slice: Slice| array.slice_axis(last, slice);
        match view {
            View::Whole => show(&array),
            View::Transposed => show(&array.t()),
            View::Narrowed => show(&sliced(Slice::new(1, Some(-1), 1))),
            View::Strided => show(&sliced(Slice::new(0, None, 2))),
            View::Reversed => show(&sliced(Slice::new(0, None, -1))),
            View::Broadcast => show(&array.broadcast(shape).unwrap()),
        }
    }

    #[test]
    fn ndarray_gives_the_same_pictures() {
        let framework = Framework {
            name: "ndarray",
            dtypes: &promised("ndarray"),
            lacks: &[],
            defaults: (Layout::Hwc, Normalize::ToUint8),
            make: &make,
        };
        framework.check();
    }

    #[test]
    fn an_image_doesnt_see_a_write() {
        let Elements::F32(values) = batch().elements().clone() else {
            panic!("a batch of f32");
        };
        let array = ArrayD::from_shape_vec(vec![4, 3, 2, 1], values).unwrap();
        check_immune(array, |array| array.mapv_inplace(|v| 250.0 - v));
    }
}

#[cfg(feature = "tch")]
mod on_tch {
    use tch::{Device, Kind, Tensor};

    use super::*;

    fn make(storage: &HostTensor, view: View, shape: &[usize], show: Show<'_>) {
        if let Some(tensor) = tensor(storage).and_then(|tensor| seen(tensor, view, shape)) {
            show(&tensor);
        }
    }

    fn tensor(storage: &HostTensor) -> Option<Tensor> {
        let flat = match storage.elements() {
            Elements::Bool(values) => Tensor::from_slice(values),
            Elements::U8(values) => Tensor::from_slice(values),
            Elements::I8(values) => Tensor::from_slice(values),
            Elements::I16(values) => Tensor::from_slice(values),
            Elements::I32(values) => Tensor::from_slice(values),
            Elements::I64(values) => Tensor::from_slice(values),
            Elements::F16(values) => Tensor::from_slice(values),
            Elements::BF16(values) => {
                let widened = Vec::from_iter(values.iter().map(|v| v.to_f32()));
                Tensor::from_slice(&widened).to_kind(Kind::BFloat16)
            }
            Elements::F32(values) => Tensor::from_slice(values),
            Elements::F64(values) => Tensor::from_slice(values),
            _ => return None,
        };
        Some(flat.view(signed(storage.shape()).as_slice()))
    }

    fn signed(shape: &[usize]) -> Vec<i64> {
        shape.iter().map(|&dim| dim as i64).collect()
    }

    fn seen(tensor: Tensor, view: View, shape: &[usize]) -> Option<Tensor> {
        let last = shape.len() as i64 - 1;
        match view {
            View::Whole => Some(tensor),
            View::Transposed => Some(tensor.permute(Vec::from_iter((0..=last).rev()))),
            View::Narrowed => Some(tensor.narrow(last, 1, tensor.size()[last as usize] - 2)),
            View::Strided => Some(tensor.slice(last, None, None, 2)),
            View::Broadcast => Some(tensor.expand(signed(shape), false)),
            View::Reversed => None,
        }
    }

    #[test]
    fn tch_gives_the_same_pictures() {
        let framework = Framework {
            name: "tch",
            dtypes: &promised("tch"),
            lacks: &[View::Reversed],
            defaults: (Layout::Chw, Normalize::MinMax),
            make: &make,
        };
        framework.check();
    }

    #[test]
    fn tch_gives_the_same_pictures_from_a_graph() {
        let tensor = tensor(&batch()).unwrap().set_requires_grad(true);
        let options = ImageOptions::new();
        let expected = outcome(&batch(), &options);
        assert_eq!(outcome(&tensor, &options), expected);
        assert_eq!(outcome(&(&tensor + 0.0), &options), expected);
    }

    #[test]
    fn an_image_doesnt_see_a_write_in_place() {
        let views: [fn(&Tensor) -> Tensor; 4] = [
            Tensor::shallow_clone,
            Tensor::detach,
            |t| t.transpose(2, 3),
            |t| t.view([4, 1, 1, 6]),
        ];
        for view in views {
            let tensor = tensor(&batch()).unwrap();
            check_immune(view(&tensor), |_| drop(tensor.shallow_clone().square_()));
        }
    }

    #[test]
    fn a_tensor_without_values_is_an_error() {
        let undefined = Tensor::new();
        assert!(undefined.to_wandb_image().is_err());
        let complex = Tensor::zeros([2, 2], (Kind::ComplexFloat, Device::Cpu));
        let error = complex.to_wandb_image().unwrap_err().to_string();
        assert!(
            error.contains("ComplexFloat") && error.contains("abs()"),
            "{error}"
        );
    }
}

#[cfg(feature = "burn-example")]
mod on_burn {
    use burn::tensor::kind::Basic;
    use burn::tensor::{Bool, Device, Element, Float, Int, Slice, Tensor, TensorData};

    use super::*;

    pub(super) fn make(
        device: &Device,
        storage: &HostTensor,
        view: View,
        shape: &[usize],
        show: Show<'_>,
    ) {
        match shape.len() {
            1 => of_rank::<1>(device, storage, view, shape, show),
            2 => of_rank::<2>(device, storage, view, shape, show),
            3 => of_rank::<3>(device, storage, view, shape, show),
            4 => of_rank::<4>(device, storage, view, shape, show),
            5 => of_rank::<5>(device, storage, view, shape, show),
            other => panic!("no case has rank {other}"),
        }
    }

    fn of_rank<const D: usize>(
        device: &Device,
        storage: &HostTensor,
        view: View,
        shape: &[usize],
        show: Show<'_>,
    ) {
        macro_rules! show_each {
            ($($variant:ident: $kind:ty),*) => {
                match storage.elements() {
                    $(Elements::$variant(values) => {
                        let tensor = tensor::<D, $kind, _>(device, values, storage.shape());
                        show(&seen(tensor, view, shape.try_into().unwrap()));
                    })*
                    other => panic!("no tensor of {other:?}"),
                }
            };
        }
        show_each!(
            Bool: Bool, U8: Int, I8: Int, U16: Int, I16: Int, U32: Int, I32: Int, U64: Int,
            I64: Int, F16: Float, BF16: Float, F32: Float, F64: Float
        );
    }

    fn tensor<const D: usize, K: Basic, T: Element>(
        device: &Device,
        values: &[T],
        shape: &[usize],
    ) -> Tensor<D, K> {
        let data = TensorData::new(values.to_vec(), shape.to_vec());
        let dtype = data.dtype();
        Tensor::from_data(data, (device, dtype))
    }

    fn seen<const D: usize, K: Basic>(
        tensor: Tensor<D, K>,
        view: View,
        shape: [usize; D],
    ) -> Tensor<D, K> {
        let last = D - 1;
        match view {
            View::Whole => tensor,
            View::Transposed => tensor.permute(std::array::from_fn(|dim| (last - dim) as isize)),
            View::Narrowed => tensor.slice_dim(last, 1..shape[last] + 1),
            View::Strided => tensor.slice_dim(last, Slice::new(0, None, 2)),
            View::Reversed => tensor.flip([last]),
            View::Broadcast => tensor.expand(shape),
        }
    }

    pub(super) fn float_batch(device: &Device) -> Tensor<4> {
        let Elements::F32(values) = batch().elements().clone() else {
            panic!("a batch of f32");
        };
        tensor(device, &values, &[4, 1, 3, 2])
    }

    #[test]
    fn burn_gives_the_same_pictures() {
        let device = Device::flex();
        let framework = Framework {
            name: "burn",
            dtypes: &promised("burn"),
            lacks: &[],
            defaults: (Layout::Chw, Normalize::MinMax),
            make: &|storage, view, shape, show| make(&device, storage, view, shape, show),
        };
        framework.check();
    }

    #[test]
    fn burn_gives_the_same_pictures_inside_autodiff() {
        let tensor = float_batch(&Device::flex().autodiff()).require_grad();
        let options = ImageOptions::new().max_images(3);
        let expected = outcome(&batch(), &options);
        assert_eq!(outcome(&tensor, &options), expected);
        assert_eq!(outcome(&(tensor + 0.0), &options), expected);
    }

    #[test]
    fn an_image_doesnt_see_an_operation_in_place() {
        let tensor = float_batch(&Device::flex());
        check_immune(tensor, |tensor| tensor.inplace(|t| t.powi_scalar(2)));
    }
}

#[cfg(feature = "burn-wgpu-test")]
mod on_burn_wgpu {
    use burn::tensor::{BoolStore, DType as Burn, Device, DeviceKind};

    use super::*;

    fn device() -> Device {
        Device::wgpu(DeviceKind::Cpu)
    }

    /// A device whose memory isn't the host's lacks some types: those that it has are compared.
    fn held(device: &Device) -> Vec<DType> {
        let all = [
            (DType::Bool, Burn::Bool(BoolStore::U32)),
            (DType::U8, Burn::U8),
            (DType::I8, Burn::I8),
            (DType::U16, Burn::U16),
            (DType::I16, Burn::I16),
            (DType::U32, Burn::U32),
            (DType::I32, Burn::I32),
            (DType::U64, Burn::U64),
            (DType::I64, Burn::I64),
            (DType::F16, Burn::F16),
            (DType::BF16, Burn::BF16),
            (DType::F32, Burn::F32),
            (DType::F64, Burn::F64),
        ];
        let held = all.into_iter().filter(|&(_, d)| device.supports_dtype(d));
        held.map(|(dtype, _)| dtype).collect()
    }

    #[test]
    fn burn_gives_the_same_pictures_from_another_device() {
        let device = device();
        let held = held(&device);
        assert!(held.contains(&DType::F32) && held.contains(&DType::I32));
        let framework = Framework {
            name: "burn on wgpu",
            dtypes: &held,
            lacks: &[],
            defaults: (Layout::Chw, Normalize::MinMax),
            make: &|storage, view, shape, show| {
                if held.contains(&storage.dtype()) {
                    on_burn::make(&device, storage, view, shape, show);
                }
            },
        };
        framework.check();
    }

    #[test]
    fn an_image_doesnt_see_an_operation_in_place() {
        let tensor = on_burn::float_batch(&device());
        check_immune(tensor, |tensor| tensor.inplace(|t| t.powi_scalar(2)));
    }
}
