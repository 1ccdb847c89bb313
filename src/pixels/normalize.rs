//! The rules by which values become pixels.

use super::range::Range;
use super::sample::{Sample, Wide};
use super::vectorised::vectorised;
use crate::error::{Error, Result};

/// How the values of a tensor become pixels of 0 to 255.
///
/// Each rule is computed as torch does on the CPU: f32 and f64 in their own type, f16 and bf16
/// rounded to their type after each operation, integers in f64; the result is truncated. NaN
/// takes no part in a range and becomes 0; ±Inf becomes the greatest or the least pixel. Values
/// outside what a rule expects saturate, and the run says so once per key, with the range that
/// was seen. A boolean tensor's range always is `false` to `true`.
///
/// ```
/// use wandb_image::{HostTensor, ImageOptions, IntoWandbImage, Normalize};
///
/// let tensor = HostTensor::new([1, 3], vec![-2.0_f32, 0.5, 2.0])?;
/// let pixels = |rule| {
///     let image = tensor.to_wandb_image_with(&ImageOptions::new().normalize(rule))?;
///     Ok::<_, wandb_image::Error>(image.pixels()?.as_bytes().to_vec())
/// };
/// assert_eq!(pixels(Normalize::MinMax)?, [0, 159, 255]);
/// assert_eq!(pixels(Normalize::Unit)?, [0, 127, 255]);
/// assert_eq!(pixels(Normalize::ValueRange { low: 0.0, high: 4.0 })?, [0, 31, 127]);
/// # Ok::<(), wandb_image::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Normalize {
    /// The least value black, the greatest white: `(x − min) / max(max − min, 1e-5) × 255`. The
    /// default for tensors, as W&B documents it, equal in every pixel to torchvision's
    /// `make_grid(normalize=True)` and the Python SDK up to 0.19. Bytes are stretched too: where they
    /// are pixels of 0 to 255 already, [`Off`](Self::Off) keeps them.
    MinMax,
    /// `low` black, `high` white: torchvision's `value_range`.
    ValueRange {
        /// The value that becomes black.
        low: f64,
        /// The value that becomes white; greater than `low`.
        high: f64,
    },
    /// 0 black, 1 white: `x × 255`. For the output of a sigmoid.
    Unit,
    /// −1 black, 1 white: `(x + 1) × 127.5`. For the output of a tanh.
    Signed,
    /// Standardised values are undone, `x × std + mean`, and then are 0 black, 1 white.
    ///
    /// ```
    /// use wandb_image::Normalize;
    ///
    /// let imagenet = Normalize::MeanStd {
    ///     mean: vec![0.485, 0.456, 0.406],
    ///     std: vec![0.229, 0.224, 0.225],
    /// };
    /// ```
    MeanStd {
        /// One per channel, or one for all.
        mean: Vec<f64>,
        /// One per channel, or one for all; greater than 0.
        std: Vec<f64>,
    },
    /// By the range of the values: within [0, 1] as [`Unit`](Self::Unit), within [−1, 1] as
    /// [`Signed`](Self::Signed), else as [`Off`](Self::Off). What the Python SDK did from 0.20
    /// until 0.31: a dark picture and a bright one may come out by different rules.
    Guess,
    /// The SDK's documented `to_uint8`, and the default for ndarray's arrays: with negative
    /// values, `(x − min) / (max − min)`; then, where no value is over 1, `× 255`.
    ToUint8,
    /// The values are 0 to 255 already: truncated, and what lies outside saturates. (The Python
    /// SDK 0.31 wraps: 300 becomes 44.)
    Off,
}

impl Normalize {
    pub(super) fn check(&self, channels: usize) -> Result<()> {
        match self {
            Normalize::ValueRange { low, high } => check_range(*low, *high),
            Normalize::MeanStd { mean, std } => {
                check_constants("mean", mean, channels, |_| true)?;
                check_constants("std", std, channels, |std| std > 0.0)
            }
            _ => Ok(()),
        }
    }
}

fn check_range(low: f64, high: f64) -> Result<()> {
    if low.is_finite() && high.is_finite() && low < high {
        return Ok(());
    }
    Err(Error::Option {
        option: "the value range",
        given: format!("{low} to {high}"),
        expected: "low must be less than high, and both finite".into(),
    })
}

fn check_constants(
    option: &'static str,
    given: &[f64],
    channels: usize,
    allowed: impl Fn(f64) -> bool,
) -> Result<()> {
    if given.len() != 1 && given.len() != channels {
        return Err(Error::Option {
            option,
            given: format!("{given:?}, {} values", given.len()),
            expected: format!(
                "the picture has {channels} channels: give one value per channel, or one for all"
            ),
        });
    }
    if given.iter().all(|&x| x.is_finite() && allowed(x)) {
        return Ok(());
    }
    Err(Error::Option {
        option,
        given: format!("{given:?}"),
        expected: "mean must be finite, and std finite and greater than 0".into(),
    })
}

/// A rule with everything filled in: how one value becomes one pixel.
#[derive(Clone, Copy, Debug)]
pub(super) enum Map {
    /// Clamped to `low..=high`, less `low`, by `divisor`, times 255.
    Stretch {
        low: f64,
        high: f64,
        divisor: f64,
    },
    /// The same where `high − low` overflows the dtype: in f64, of halves.
    StretchHalves {
        low: f64,
        high: f64,
    },
    Unit,
    Signed,
    MeanStd {
        mean: f64,
        std: f64,
    },
    Keep,
}

/// The maps of a rule for values of this range: one for all channels, or one for each.
pub(super) fn maps<T: Sample>(rule: &Normalize, range: &Range) -> Vec<Map> {
    match rule {
        Normalize::MinMax => vec![stretch::<T>(range.min, range.max, 1e-5)],
        Normalize::ValueRange { low, high } => vec![stretch::<T>(*low, *high, 1e-5)],
        Normalize::Unit => vec![Map::Unit],
        Normalize::Signed => vec![Map::Signed],
        Normalize::MeanStd { mean, std } => mean_std(mean, std),
        Normalize::Guess => vec![guess(range)],
        Normalize::ToUint8 => vec![to_uint8::<T>(range)],
        Normalize::Off => vec![Map::Keep],
    }
}

fn stretch<T: Sample>(low: f64, high: f64, least: f64) -> Map {
    let difference = T::Wide::from_f64(high - low);
    if !T::round(difference).is_finite() {
        return Map::StretchHalves { low, high };
    }
    Map::Stretch {
        low,
        high,
        divisor: (high - low).max(least),
    }
}

fn mean_std(mean: &[f64], std: &[f64]) -> Vec<Map> {
    let at = |values: &[f64], i: usize| values[i.min(values.len() - 1)];
    let channels = mean.len().max(std.len());
    (0..channels)
        .map(|i| Map::MeanStd {
            mean: at(mean, i),
            std: at(std, i),
        })
        .collect()
}

fn guess(range: &Range) -> Map {
    if range.max > 1.0 || range.min < -1.0 {
        Map::Keep
    } else if range.min < 0.0 {
        Map::Signed
    } else {
        Map::Unit
    }
}

/// NumPy's difference is of the dtype, where torch's is of Python's float.
fn to_uint8<T: Sample>(range: &Range) -> Map {
    if range.min < 0.0 {
        let (low, high) = (range.min, range.max);
        let difference = T::round(T::Wide::from_f64(high) - T::Wide::from_f64(low)).to_f64();
        return match stretch::<T>(low, high, 0.0) {
            Map::Stretch { .. } => Map::Stretch {
                low,
                high,
                divisor: if difference > 0.0 { difference } else { 1.0 },
            },
            other => other,
        };
    }
    if range.max <= 1.0 {
        Map::Unit
    } else {
        Map::Keep
    }
}

impl Map {
    /// Runs this map over values, a pixel each.
    pub(super) fn apply<T: Sample>(self, values: &[T], pixels: &mut [u8]) {
        vectorised(
            #[inline(always)]
            || self.run(values, pixels),
        );
    }

    #[inline(always)]
    fn run<T: Sample>(self, values: &[T], pixels: &mut [u8]) {
        let wide = T::Wide::from_f64;
        let rounded = |x: f64| T::round(wide(x));
        let (white, one, half) = (wide(255.0), wide(1.0), wide(127.5));
        match self {
            Map::Stretch { low, high, divisor } => {
                let (least, greatest) = (rounded(low), rounded(high));
                let divisor = wide(divisor);
                each(
                    values,
                    pixels,
                    #[inline(always)]
                    move |x: T| {
                        let x = T::round(x.widen().limit(least, greatest) - least);
                        T::round(T::round(x / divisor) * white).to_u8()
                    },
                );
            }
            Map::StretchHalves { low, high } => {
                let (low, high) = (low / 2.0, high / 2.0);
                each(
                    values,
                    pixels,
                    #[inline(always)]
                    move |x: T| {
                        let x = (x.to_f64() / 2.0).limit(low, high);
                        ((x - low) / (high - low) * 255.0).to_u8()
                    },
                );
            }
            Map::Unit => each(
                values,
                pixels,
                #[inline(always)]
                move |x: T| T::round(x.widen() * white).to_u8(),
            ),
            Map::Signed => each(
                values,
                pixels,
                #[inline(always)]
                move |x: T| T::round(T::round(x.widen() + one) * half).to_u8(),
            ),
            Map::MeanStd { mean, std } => {
                let (mean, std) = (rounded(mean), rounded(std));
                each(
                    values,
                    pixels,
                    #[inline(always)]
                    move |x: T| {
                        let x = T::round(T::round(x.widen() * std) + mean);
                        T::round(x * white).to_u8()
                    },
                );
            }
            Map::Keep => each(
                values,
                pixels,
                #[inline(always)]
                move |x: T| x.widen().to_u8(),
            ),
        }
    }

    /// Where a value lies on the scale of pixels, before it saturates.
    pub(super) fn level(self, x: f64) -> f64 {
        match self {
            Map::Stretch { low, divisor, .. } => (x - low) / divisor * 255.0,
            Map::StretchHalves { low, high } => {
                (x / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0) * 255.0
            }
            Map::Unit => x * 255.0,
            Map::Signed => (x + 1.0) * 127.5,
            Map::MeanStd { mean, std } => (x * std + mean) * 255.0,
            Map::Keep => x,
        }
    }

    /// The values that become black and white.
    pub(super) fn expected(self) -> (f64, f64) {
        match self {
            Map::Stretch { low, high, .. } | Map::StretchHalves { low, high } => (low, high),
            Map::Unit => (0.0, 1.0),
            Map::Signed => (-1.0, 1.0),
            Map::MeanStd { mean, std } => (-mean / std, (1.0 - mean) / std),
            Map::Keep => (0.0, 255.0),
        }
    }
}

#[inline(always)]
fn each<T: Sample>(values: &[T], pixels: &mut [u8], f: impl Fn(T) -> u8) {
    for (&value, pixel) in values.iter().zip(pixels) {
        *pixel = f(value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::vectorised::check_every_path;
    use super::*;
    use crate::tensor::{HostTensor, each_dtype};

    const MAPS: [Map; 7] = [
        Map::Stretch {
            low: -1.0,
            high: 2.0,
            divisor: 3.0,
        },
        Map::Stretch {
            low: 0.1,
            high: 0.1,
            divisor: 1e-5,
        },
        Map::StretchHalves {
            low: -3e38,
            high: 3e38,
        },
        Map::Unit,
        Map::Signed,
        Map::MeanStd {
            mean: 0.485,
            std: 0.229,
        },
        Map::Keep,
    ];

    fn check(tensor: HostTensor) {
        for map in MAPS {
            each_dtype!(tensor.elements(), values => check_every_path(|| {
                let mut pixels = vec![0; values.len()];
                map.run(values, &mut pixels);
                pixels
            }));
        }
    }

    /// Every 16-bit float: whatever a model can put out, NaN and the subnormal ones included.
    #[test]
    fn every_processor_makes_the_same_pixels() {
        let halfs = || (0..=u16::MAX).map(half::f16::from_bits);
        let brains = || (0..=u16::MAX).map(half::bf16::from_bits);
        let n = [256, 256];
        check(HostTensor::new(n, halfs().collect::<Vec<_>>()).unwrap());
        check(HostTensor::new(n, brains().collect::<Vec<_>>()).unwrap());
        check(HostTensor::new(n, halfs().map(f32::from).collect::<Vec<_>>()).unwrap());
        check(HostTensor::new(n, brains().map(f32::from).collect::<Vec<_>>()).unwrap());
        check(HostTensor::new(n, halfs().map(f64::from).collect::<Vec<_>>()).unwrap());
        let mut random = fastrand::Rng::with_seed(3);
        let mut bits = || Vec::from_iter((0..1000).map(|_| random.u64(..)));
        check(HostTensor::new([1, 1000], Vec::from_iter(bits().iter().map(|&x| x as u8))).unwrap());
        check(
            HostTensor::new([1, 1000], Vec::from_iter(bits().iter().map(|&x| x as i32))).unwrap(),
        );
        check(
            HostTensor::new([1, 1000], Vec::from_iter(bits().iter().map(|&x| x as i64))).unwrap(),
        );
        check(HostTensor::new([1, 1000], bits()).unwrap());
        let floats = bits().into_iter().map(|x| f32::from_bits(x as u32));
        check(HostTensor::new([1, 1000], Vec::from_iter(floats)).unwrap());
    }

    /// The arithmetic that torch documents, an operation at a time and with casts.
    #[test]
    fn a_stretch_is_what_torch_computes() {
        let mut random = fastrand::Rng::with_seed(4);
        for _ in 0..100 {
            let values = Vec::from_iter((0..333).map(|_| (random.f32() - 0.4) * 7.0));
            let low = values.iter().copied().fold(f32::INFINITY, f32::min);
            let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let divisor = (f64::from(high) - f64::from(low)).max(1e-5) as f32;
            let expected = values.iter().map(|x| ((x - low) / divisor * 255.0) as u8);
            let mut pixels = vec![0; values.len()];
            stretch::<f32>(low.into(), high.into(), 1e-5).apply(&values, &mut pixels);
            assert_eq!(pixels, Vec::from_iter(expected));
        }
    }
}
