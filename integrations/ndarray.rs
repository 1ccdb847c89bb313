//! ndarray's arrays and views: [`ArrayBase`] of any storage and any number of dimensions.
//!
//! | ndarray | arrives as |
//! | --- | --- |
//! | `bool`, `u8`, `u16`, `u32`, `u64`, `i8`, `i16`, `i32`, `i64` | the same |
//! | `half::f16`, `half::bf16`, `f32`, `f64` | the same |
//! | any other element | doesn't compile: map it to one of these with `mapv` |
//!
//! As in W&B, an array is read as (H, W), (H, W, C) or (N, H, W, C), and its values become
//! pixels by [`Normalize::ToUint8`]. A view is read in its own order, whatever lies in memory.
//!
//! ```
//! use ndarray::Array3;
//! use wandb_image::IntoWandbImage;
//!
//! let array = Array3::from_shape_fn((16, 24, 3), |(y, x, c)| (8 * y + 4 * x + c) as u8);
//! let image = array.to_wandb_image()?.caption("a slope");
//! # assert_eq!(IntoWandbImage::shape(&array)?, [16, 24, 3]);
//! # Ok::<(), wandb_image::Error>(())
//! ```

use ndarray::{ArrayBase, Axis, Data, Dimension};

use crate::pixels::check_tensor;
use crate::tensor::{Element, pool, shape_of_selection};
use crate::{DType, HostTensor, IntoWandbImage, Layout, Normalize, Result, Snapshot};

impl<A: Element, S: Data<Elem = A>, D: Dimension> IntoWandbImage for ArrayBase<S, D> {
    fn to_host(&self) -> Result<HostTensor> {
        // A view that was broadcast may be larger than any memory.
        check_tensor(self.shape(), A::DTYPE)?;
        HostTensor::new(self.shape(), row_major(self))
    }

    fn shape(&self) -> Result<Vec<usize>> {
        Ok(self.shape().to_vec())
    }

    fn dtype(&self) -> Result<DType> {
        Ok(A::DTYPE)
    }

    fn default_layout(&self) -> Layout {
        Layout::Hwc
    }

    fn default_normalize(&self) -> Normalize {
        Normalize::ToUint8
    }

    fn select(&self, indices: &[usize]) -> Result<Snapshot> {
        let shape = shape_of_selection(self.shape(), indices)?;
        check_tensor(&shape, A::DTYPE)?;
        let array = self.view().into_dyn();
        let rows = indices
            .iter()
            .flat_map(|&index| row_major(&array.index_axis(Axis(0), index)));
        Ok(Snapshot::ready(HostTensor::new(shape, rows.collect())?))
    }
}

fn row_major<A: Element, S: Data<Elem = A>, D: Dimension>(array: &ArrayBase<S, D>) -> Vec<A> {
    match array.as_slice() {
        Some(values) => pool::copied(values),
        None => array.iter().copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};
    use ndarray::{Array, Array2, Array3, Array4, ArrayD, IxDyn, Slice, arr0, array};

    use super::*;
    use crate::Error;

    /// Every way to the host gives the shape and the values of `expected`.
    fn check<A: Element, S: Data<Elem = A>, D: Dimension>(
        array: &ArrayBase<S, D>,
        shape: &[usize],
        values: &[A],
    ) {
        let expected = HostTensor::new(shape, values.to_vec()).unwrap();
        assert_eq!(array.to_host().unwrap(), expected);
        assert_eq!(IntoWandbImage::shape(array).unwrap(), shape);
        assert_eq!(array.dtype().unwrap(), A::DTYPE);
        assert_eq!(array.snapshot().unwrap().into_host().unwrap(), expected);
    }

    fn check_dtype<A: Element>(values: [A; 4]) {
        let array = Array2::from_shape_vec((2, 2), values.to_vec()).unwrap();
        check(&array, &[2, 2], &values);
    }

    #[test]
    fn dtypes_arrive_as_they_are() {
        check_dtype([false, true, true, false]);
        check_dtype([0_u8, 1, 128, u8::MAX]);
        check_dtype([0_u16, 1, 128, u16::MAX]);
        check_dtype([0_u32, 1, 128, u32::MAX]);
        check_dtype([0_u64, 1, 128, u64::MAX]);
        check_dtype([0_i8, -1, i8::MIN, i8::MAX]);
        check_dtype([0_i16, -1, i16::MIN, i16::MAX]);
        check_dtype([0_i32, -1, i32::MIN, i32::MAX]);
        check_dtype([0_i64, -1, i64::MIN, i64::MAX]);
        check_dtype([0.0_f32, -1.5, f32::MIN_POSITIVE, f32::INFINITY]);
        check_dtype([0.0_f64, -1.5, f64::MIN_POSITIVE, f64::INFINITY]);
        check_dtype([0.0, -1.5, 0.1, 65504.0].map(f16::from_f32));
        check_dtype([0.0, -1.5, 0.1, 1e38].map(bf16::from_f32));
    }

    #[test]
    fn every_storage_and_rank_arrives() {
        let array = Array3::from_shape_vec((2, 1, 3), Vec::from_iter(0..6_u8)).unwrap();
        let values = [0, 1, 2, 3, 4, 5];
        check(&array, &[2, 1, 3], &values);
        check(&array.view(), &[2, 1, 3], &values);
        check(&array.clone().into_shared(), &[2, 1, 3], &values);
        check(&ndarray::CowArray::from(&array), &[2, 1, 3], &values);
        check(&array.clone().into_dyn(), &[2, 1, 3], &values);
        check(&arr0(7_u8), &[], &[7]);
        check(&ArrayD::from_elem(IxDyn(&[1; 7]), 7_u8), &[1; 7], &[7]);
        check(&Array::from_elem((2, 0, 3), 0_u8), &[2, 0, 3], &[]);
    }

    #[test]
    fn views_arrive_row_major() {
        let a = array![[0, 1, 2], [3, 4, 5]];
        let rows_reversed = a.slice_axis(Axis(0), Slice::new(0, None, -1));
        let every_other_column = a.slice_axis(Axis(1), Slice::new(0, None, -2));
        let columns = a.slice_axis(Axis(1), Slice::from(1..));
        let repeated = a.row(1);
        check(&a.t(), &[3, 2], &[0, 3, 1, 4, 2, 5]);
        check(&rows_reversed, &[2, 3], &[3, 4, 5, 0, 1, 2]);
        check(&every_other_column, &[2, 2], &[2, 0, 5, 3]);
        check(&columns, &[2, 2], &[1, 2, 4, 5]);
        check(
            &repeated.broadcast((2, 3)).unwrap(),
            &[2, 3],
            &[3, 4, 5, 3, 4, 5],
        );
    }

    #[test]
    fn an_array_is_read_as_wandb_reads_numpys() {
        let array = Array2::<f32>::zeros((2, 2));
        assert_eq!(array.default_layout(), Layout::Hwc);
        assert_eq!(array.default_normalize(), Normalize::ToUint8);
    }

    #[test]
    fn select_takes_images_in_the_order_asked_for() {
        let batch = Array4::from_shape_vec((4, 2, 2, 1), Vec::from_iter(0..16_i32)).unwrap();
        let turned = batch.t();
        for indices in [&[0, 1][..], &[3, 0], &[1, 1], &[]] {
            let expected = batch.to_host().unwrap().select(indices).unwrap();
            let selected = IntoWandbImage::select(&batch, indices).unwrap();
            assert_eq!(selected.into_host().unwrap(), expected);
        }
        let expected = turned.to_host().unwrap().select(&[0]).unwrap();
        let selected = IntoWandbImage::select(&turned, &[0]).unwrap();
        assert_eq!(selected.into_host().unwrap(), expected);
    }

    #[test]
    fn an_index_past_the_end_is_an_error() {
        let batch = Array4::<u8>::zeros((4, 2, 2, 1));
        let error = IntoWandbImage::select(&batch, &[0, 4]).unwrap_err();
        assert!(matches!(error, Error::Index { index: 4, len: 4 }));
        let error = IntoWandbImage::select(&arr0(1_u8), &[0]).unwrap_err();
        assert!(matches!(error, Error::Index { index: 0, len: 0 }));
    }
}
