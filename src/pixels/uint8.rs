//! W&B's `Image.to_uint8`, of any array.

use super::normalize::{self, Normalize};
use super::range;
use super::sample::Sample;
use crate::tensor::{HostTensor, each_dtype};

/// The values that W&B's pixels have, as a tensor: the same shape, from 0 to 255, made by
/// [`Normalize::ToUint8`] over the whole of it. `Image.to_uint8` in Python, up to 0.19.
///
/// Any rank will do. NaN becomes 0, and so does a negative number that fills a tensor, of which
/// NumPy divides zero by zero.
///
/// ```
/// use wandb_image::{HostTensor, to_uint8};
///
/// let tensor = HostTensor::new([3], vec![-1.0_f32, 0.0, 1.0])?;
/// assert_eq!(to_uint8(&tensor), HostTensor::new([3], vec![0_u8, 127, 255])?);
/// # Ok::<(), wandb_image::Error>(())
/// ```
#[must_use]
pub fn to_uint8(tensor: &HostTensor) -> HostTensor {
    tensor.same_shape(|elements, bytes| {
        each_dtype!(elements, values => fill(values, bytes));
    })
}

fn fill<T: Sample>(values: &[T], bytes: &mut [u8]) {
    let maps = normalize::maps::<T>(&Normalize::ToUint8, &range::scan(values));
    maps.iter().for_each(|map| map.apply(values, bytes));
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::tensor::Element;

    fn check<T: Element>(values: &[T], expected: &[u8]) {
        let n = values.len();
        for shape in [vec![n], vec![n, 1], vec![1, 1, 1, n, 1]] {
            let tensor = HostTensor::new(shape.clone(), values.to_vec()).unwrap();
            let expected = HostTensor::new(shape, expected.to_vec()).unwrap();
            assert!(to_uint8(&tensor) == expected, "{:?}", T::DTYPE);
        }
    }

    /// What `wandb.Image.to_uint8` of 0.19.11 says.
    #[test]
    fn numbers_are_those_of_the_sdk() {
        check(&[-1.0_f32, 0.0, 1.0], &[0, 127, 255]);
        check(&[0.0_f32, 0.25, 0.5, 1.0], &[0, 63, 127, 255]);
        check(&[0.0_f32, 1.5, 300.0, 254.9], &[0, 1, 255, 254]);
        check(&[-3.0_f64, 1.0, 2.5, 0.1], &[0, 185, 255, 143]);
        check(
            &[-1.0, 0.1, 0.7, 2.0].map(f16::from_f64),
            &[0, 93, 144, 255],
        );
        check(&[0.1, 0.9, 0.5].map(f16::from_f64), &[25, 229, 127]);
        check(&[0_u8, 1, 1], &[0, 255, 255]);
        check(&[0_u8, 1, 2], &[0, 1, 2]);
        check(&[-5_i16, 0, 300], &[0, 4, 255]);
        check(&[-100_000_i32, 0, 70_000, 1234], &[0, 150, 255, 151]);
        check(&[300_i64, 255, 256, 0], &[255, 255, 255, 0]);
        check(&[0_u16, 255, 256, 65_535], &[0, 255, 255, 255]);
        check(&[1_u64 << 63, 7], &[255, 7]);
        check(&[false, true], &[0, 255]);
    }

    #[test]
    fn nothing_is_too_odd_to_be_numbers() {
        check::<f32>(&[], &[]);
        check(&[f32::NAN, -1.0, 1.0, f32::INFINITY], &[0, 0, 255, 255]);
        check(&[-7_i8, -7], &[0, 0]);
        let scalar = HostTensor::new([], vec![0.5_f32]).unwrap();
        assert_eq!(
            to_uint8(&scalar),
            HostTensor::new([], vec![127_u8]).unwrap()
        );
    }
}
