//! What the documentation says of values and of files, an element at a time and with nothing of
//! the crate's but its types: what the targets compare with.

use half::{bf16, f16};
use wandb_image::tensor::Elements;
use wandb_image::{DType, HostTensor, Layout, Normalize};

// ---- values ----

/// The elements as numbers.
pub fn numbers(tensor: &HostTensor) -> Vec<f64> {
    macro_rules! numbers {
        ([$($exact:ident)*], [$($wide:ident)*]) => {
            match tensor.elements() {
                Elements::Bool(values) => {
                    values.iter().map(|&value| u8::from(value).into()).collect()
                }
                $(Elements::$exact(values) => {
                    values.iter().map(|&value| value.into()).collect()
                })*
                $(Elements::$wide(values) => {
                    values.iter().map(|&value| value as f64).collect()
                })*
                _ => panic!("{}", tensor.dtype()),
            }
        };
    }
    numbers!([U8 I8 U16 I16 U32 I32 F16 BF16 F32 F64], [U64 I64])
}

/// The least and the greatest finite value; a boolean's are always 0 and 1.
pub fn range(values: &[f64], dtype: DType) -> (f64, f64) {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    match (dtype, finite.clone().reduce(f64::min)) {
        (DType::Bool, _) => (0.0, 1.0),
        (_, Some(low)) => (low, finite.fold(low, f64::max)),
        (_, None) => (0.0, 0.0),
    }
}

/// What a dtype's operations make of their exact result.
fn rounding(dtype: DType) -> fn(f64) -> f64 {
    match dtype {
        DType::F16 => |exact| f16::from_f32(exact as f32).into(),
        DType::BF16 => |exact| bf16::from_f32(exact as f32).into(),
        DType::F32 => |exact| (exact as f32).into(),
        _ => |exact| exact,
    }
}

/// A constant as it enters an operation.
fn constant(dtype: DType, exact: f64) -> f64 {
    match dtype {
        DType::F16 | DType::BF16 | DType::F32 => (exact as f32).into(),
        _ => exact,
    }
}

/// How the values of one picture become its pixels.
#[derive(Clone, Debug)]
pub struct Rule {
    pub normalize: Normalize,
    pub dtype: DType,
    /// Of the values that are ranged together.
    pub range: (f64, f64),
}

impl Rule {
    /// The pixels of a picture that is neither resized nor converted, channels interleaved.
    pub fn pixels(&self, values: &[f64], channels: usize, layout: Layout) -> Vec<u8> {
        let plane = values.len() / channels;
        let value = |pixel: usize, channel: usize| match layout {
            Layout::Hwc => values[pixel * channels + channel],
            _ => values[channel * plane + pixel],
        };
        let pixel = |at| (0..channels).map(move |channel| (channel, value(at, channel)));
        let all = (0..plane).flat_map(pixel);
        // It truncates, saturates, and makes 0 of NaN.
        all.map(|(channel, x)| self.level(channel, x) as u8)
            .collect()
    }

    fn level(&self, channel: usize, x: f64) -> f64 {
        let round = rounding(self.dtype);
        let (low, high) = self.range;
        match &self.normalize {
            Normalize::MinMax => self.stretched(x, (low, high), |exact| exact.max(1e-5)),
            Normalize::ValueRange { low, high } => {
                self.stretched(x, (*low, *high), |exact| exact.max(1e-5))
            }
            Normalize::Unit => round(x * 255.0),
            Normalize::Signed => round(round(x + 1.0) * 127.5),
            Normalize::MeanStd { mean, std } => {
                let own = |all: &[f64]| {
                    let own = all[channel.min(all.len() - 1)];
                    round(constant(self.dtype, own))
                };
                round(round(round(x * own(std)) + own(mean)) * 255.0)
            }
            Normalize::Guess if low < -1.0 || high > 1.0 => x,
            Normalize::Guess if low < 0.0 => round(round(x + 1.0) * 127.5),
            Normalize::Guess => round(x * 255.0),
            Normalize::ToUint8 if low < 0.0 => self.stretched(x, (low, high), round),
            Normalize::ToUint8 if high <= 1.0 => round(x * 255.0),
            Normalize::ToUint8 | Normalize::Off => x,
            other => panic!("{other:?}"),
        }
    }

    /// From `low` to `high`, by their difference as `divisor` takes it.
    fn stretched(&self, x: f64, (low, high): (f64, f64), divisor: impl Fn(f64) -> f64) -> f64 {
        let round = rounding(self.dtype);
        let wide = |exact| constant(self.dtype, exact);
        if !round(wide(high - low)).is_finite() {
            return (x.clamp(low, high) / 4.0 - low / 4.0) / (high / 4.0 - low / 4.0) * 255.0;
        }
        let (least, greatest) = (round(wide(low)), round(wide(high)));
        let above = round(x.clamp(least, greatest) - least);
        round(round(above / wide(divisor(high - low))) * 255.0)
    }
}

// ---- files ----

/// Where the element `at` of an array in C order lies in one in Fortran order.
#[cfg(feature = "cli")]
pub fn in_fortran_order(mut at: usize, shape: &[usize]) -> usize {
    let strides = (0..shape.len()).map(|dim| shape[..dim].iter().product::<usize>());
    let strides: Vec<usize> = strides.collect();
    let mut place = 0;
    for (dim, stride) in shape.iter().zip(strides).rev() {
        place += at % dim * stride;
        at /= dim;
    }
    place
}

/// A float of 8 bits, `mantissa_bits` of them after the point.
#[cfg(feature = "cli")]
pub fn small_float(byte: u8, mantissa_bits: u32, bias: i32) -> f32 {
    let sign = if byte < 0x80 { 1.0 } else { -1.0 };
    let whole = 1 << mantissa_bits;
    let (exponent, mantissa) = ((byte & 0x7F) >> mantissa_bits, byte & (whole - 1));
    let (exponent, mantissa) = match exponent {
        0 => (1, mantissa),
        _ => (exponent, mantissa + whole),
    };
    let scale = 2_f64.powi(i32::from(exponent) - bias - mantissa_bits as i32);
    (sign * f64::from(mantissa) * scale) as f32
}
