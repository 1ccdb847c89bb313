//! candle-core's [`Tensor`], on any device, contiguous or not.
//!
//! | candle | arrives as |
//! | --- | --- |
//! | `U8`, `U32`, `I16`, `I32`, `I64` | the same |
//! | `BF16`, `F16`, `F32`, `F64` | the same |
//! | `F8E4M3` | [`DType::F32`], which holds each of its values |
//! | `F6E2M3`, `F6E3M2`, `F4`, `F8E8M0` | refused with [`Error::Dtype`]: candle can't compute with them |
//!
//! A snapshot is always a copy: an optimiser step writes into the storage that a held tensor
//! and its views share, and so does `slice_set`. It stays on the tensor's device until it is
//! read; on the CPU, where the device is the host, it is read at once.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use wandb_image::IntoWandbImage;
//!
//! let tensor = Tensor::rand(0_f32, 1.0, (3, 16, 24), &Device::Cpu)?;
//! let image = tensor.to_wandb_image()?.caption("noise");
//! # assert_eq!(tensor.shape(), &candle_core::Shape::from((3, 16, 24)));
//! # assert_eq!(IntoWandbImage::shape(&tensor)?, [3, 16, 24]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::ops::Range;

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::cpu_backend::CpuDevice;
use candle_core::{CpuStorage, Layout, Storage, Tensor};

use crate::pixels::check_tensor;
use crate::tensor::{pool, shape_of_selection};
use crate::{DType, Error, HostTensor, IntoWandbImage, Result, Snapshot};

impl IntoWandbImage for Tensor {
    fn to_host(&self) -> Result<HostTensor> {
        check(self.dims(), self)?;
        if self.device().is_cpu() {
            return read(self);
        }
        read(&own_copy(self)?)
    }

    fn shape(&self) -> Result<Vec<usize>> {
        Ok(self.dims().to_vec())
    }

    fn dtype(&self) -> Result<DType> {
        host_dtype(self.dtype())
    }

    fn select(&self, indices: &[usize]) -> Result<Snapshot> {
        check(&shape_of_selection(self.dims(), indices)?, self)?;
        let tensor = self.detach();
        match runs(indices).as_slice() {
            [] => narrow(&tensor, &(0..0))?.snapshot(),
            [run] => narrow(&tensor, run)?.snapshot(),
            runs => hold(joined(&tensor, runs)?),
        }
    }

    fn snapshot(&self) -> Result<Snapshot> {
        check(self.dims(), self)?;
        if self.device().is_cpu() {
            return Ok(Snapshot::ready(read(self)?));
        }
        hold(own_copy(self)?)
    }
}

/// Refuses what can't become a picture, before a copy of this shape is made: a view that was
/// broadcast may be larger than any memory.
fn check(shape: &[usize], tensor: &Tensor) -> Result<()> {
    check_tensor(shape, host_dtype(tensor.dtype())?)
}

fn host_dtype(dtype: candle_core::DType) -> Result<DType> {
    match dtype {
        candle_core::DType::U8 => Ok(DType::U8),
        candle_core::DType::U32 => Ok(DType::U32),
        candle_core::DType::I16 => Ok(DType::I16),
        candle_core::DType::I32 => Ok(DType::I32),
        candle_core::DType::I64 => Ok(DType::I64),
        candle_core::DType::BF16 => Ok(DType::BF16),
        candle_core::DType::F16 => Ok(DType::F16),
        candle_core::DType::F32 | candle_core::DType::F8E4M3 => Ok(DType::F32),
        candle_core::DType::F64 => Ok(DType::F64),
        other => Err(unsupported(other)),
    }
}

fn unsupported(dtype: candle_core::DType) -> Error {
    Error::Dtype {
        dtype: format!("{dtype:?}"),
        hint: "candle only stores this type; unpack it into F32 before it is logged",
    }
}

/// A snapshot of a tensor that nothing else shares.
fn hold(own: Tensor) -> Result<Snapshot> {
    let dtype = host_dtype(own.dtype())?;
    Ok(Snapshot::new(own.dims().to_vec(), dtype, move || {
        read(&own)
    }))
}

/// The same values in a storage of their own and of just their size, on the same device.
fn own_copy(tensor: &Tensor) -> Result<Tensor> {
    tensor.detach().force_contiguous().map_err(Error::device)
}

/// Indices that follow one another, as ranges.
fn runs(indices: &[usize]) -> Vec<Range<usize>> {
    indices
        .chunk_by(|a, b| a + 1 == *b)
        .map(|run| run[0]..run[0] + run.len())
        .collect()
}

fn narrow(tensor: &Tensor, run: &Range<usize>) -> Result<Tensor> {
    tensor
        .narrow(0, run.start, run.len())
        .map_err(Error::device)
}

/// Several runs in a storage of their own: candle's `index_select` lacks some dtypes on some
/// devices, `cat` none.
fn joined(tensor: &Tensor, runs: &[Range<usize>]) -> Result<Tensor> {
    let runs = runs
        .iter()
        .map(|run| narrow(tensor, run))
        .collect::<Result<Vec<_>>>()?;
    Tensor::cat(&runs, 0).map_err(Error::device)
}

/// Runs `$body` with `$values` bound to the values of a storage on the host, of any type that has
/// a picture.
macro_rules! each_type {
    ($storage:expr, $values:ident => $body:expr, f8 $narrow:ident => $widened:expr) => {
        match $storage {
            CpuStorage::U8($values) => $body,
            CpuStorage::U32($values) => $body,
            CpuStorage::I16($values) => $body,
            CpuStorage::I32($values) => $body,
            CpuStorage::I64($values) => $body,
            CpuStorage::BF16($values) => $body,
            CpuStorage::F16($values) => $body,
            CpuStorage::F32($values) => $body,
            CpuStorage::F64($values) => $body,
            CpuStorage::F8E4M3($narrow) => $widened,
            other => Err(unsupported(other.dtype())),
        }
    };
}

/// The elements on the host. On another device than the CPU, `tensor` must fill its storage.
fn read(tensor: &Tensor) -> Result<HostTensor> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(storage), Some((start, end))) => copied(tensor.dims(), storage, start..end),
        (Storage::Cpu(storage), None) => {
            let rows = row_major(storage, layout).map_err(Error::device)?;
            host(tensor.dims(), rows)
        }
        (Storage::Cuda(storage), _) => {
            let storage = storage.to_cpu_storage().map_err(Error::device)?;
            host(tensor.dims(), storage)
        }
        (Storage::Metal(storage), _) => {
            let storage = storage.to_cpu_storage().map_err(Error::device)?;
            host(tensor.dims(), storage)
        }
    }
}

fn row_major(storage: &CpuStorage, layout: &Layout) -> candle_core::Result<CpuStorage> {
    let mut rows = CpuDevice.zeros_impl(layout.shape(), storage.dtype())?;
    storage.copy_strided_src(&mut rows, 0, layout)?;
    Ok(rows)
}

fn host(shape: &[usize], storage: CpuStorage) -> Result<HostTensor> {
    each_type!(storage,
        values => HostTensor::new(shape, values),
        f8 values => HostTensor::new(shape, Vec::from_iter(values.iter().map(|v| v.to_f32()))))
}

fn copied(shape: &[usize], storage: &CpuStorage, range: Range<usize>) -> Result<HostTensor> {
    each_type!(storage,
    values => HostTensor::new(shape, pool::copied(values.get(range).unwrap_or_default())),
    f8 values => {
        let values = values.get(range).unwrap_or_default().iter();
            let values = values.map(|v| v.to_f32());
        HostTensor::new(shape, Vec::from_iter(values))
    })
}

#[cfg(test)]
mod tests {
    use candle_core::op::BackpropOp;
    use candle_core::{Device, IndexOp, Shape, Var, WithDType};
    use half::{bf16, f16};

    use super::*;
    use crate::tensor::Element;

    fn cpu(shape: impl Into<Shape>, values: Vec<impl WithDType>) -> Tensor {
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn count(n: usize) -> Vec<f32> {
        (0..n).map(|i| i as f32).collect()
    }

    /// Every way to the host gives `expected`.
    fn check(tensor: &Tensor, expected: &HostTensor) {
        assert_eq!(&tensor.to_host().unwrap(), expected);
        assert_eq!(IntoWandbImage::shape(tensor).unwrap(), expected.shape());
        assert_eq!(IntoWandbImage::dtype(tensor).unwrap(), expected.dtype());
        check_snapshot(tensor.snapshot().unwrap(), expected);
        check_snapshot(hold(own_copy(tensor).unwrap()).unwrap(), expected);
    }

    fn check_snapshot(snapshot: Snapshot, expected: &HostTensor) {
        assert_eq!(snapshot.shape(), expected.shape());
        assert_eq!(snapshot.dtype(), expected.dtype());
        assert_eq!(&snapshot.into_host().unwrap(), expected);
    }

    fn check_dtype<T: WithDType + Element>(values: [T; 4]) {
        let expected = HostTensor::new([2, 2], values.to_vec()).unwrap();
        check(&cpu((2, 2), values.to_vec()), &expected);
    }

    #[test]
    fn dtypes_arrive_as_they_are() {
        check_dtype([0_u8, 1, 128, u8::MAX]);
        check_dtype([0_u32, 1, 1 << 31, u32::MAX]);
        check_dtype([0_i16, -1, i16::MIN, i16::MAX]);
        check_dtype([0_i32, -1, i32::MIN, i32::MAX]);
        check_dtype([0_i64, -1, i64::MIN, i64::MAX]);
        check_dtype([0.0_f32, -1.5, f32::MIN_POSITIVE, f32::INFINITY]);
        check_dtype([0.0_f64, -1.5, f64::MIN_POSITIVE, f64::INFINITY]);
        check_dtype([0.0, -1.5, 0.1, 65504.0].map(f16::from_f32));
        check_dtype([0.0, -1.5, 0.1, 1e38].map(bf16::from_f32));
    }

    /// The value of an F8E4M3 by its definition: sign, 4 bits of exponent biased by 7, 3 bits of
    /// mantissa.
    fn f8e4m3(bits: u8) -> f32 {
        let sign = if bits & 0x80 == 0 { 1.0 } else { -1.0 };
        let exponent = i32::from(bits >> 3 & 0xf);
        let mantissa = f32::from(bits & 7);
        match (exponent, bits & 7) {
            (0xf, 7) => f32::NAN,
            (0, _) => sign * mantissa * 2_f32.powi(-9),
            _ => sign * (8.0 + mantissa) * 2_f32.powi(exponent - 10),
        }
    }

    #[test]
    fn f8e4m3_is_widened_without_loss() {
        let bits = Vec::from_iter(0..=u8::MAX);
        let dtype = candle_core::DType::F8E4M3;
        let tensor = Tensor::from_raw_buffer(&bits, dtype, &[16, 16], &Device::Cpu).unwrap();
        let host = tensor.to_host().unwrap();
        let crate::tensor::Elements::F32(given) = host.elements() else {
            panic!("{:?}", host.elements());
        };
        for (&bits, given) in bits.iter().zip(given) {
            let expected = f8e4m3(bits);
            let same = given.to_bits() == expected.to_bits();
            assert!(
                same || given.is_nan() && expected.is_nan(),
                "{bits:#x}: {given}"
            );
        }
    }

    #[test]
    fn views_arrive_row_major() {
        let t = cpu((2, 3, 4), count(24));
        let expected = |shape: &[usize], values: &[u8]| {
            HostTensor::new(shape, values.iter().map(|&v| f32::from(v)).collect()).unwrap()
        };
        check(
            &t.i(0).unwrap().t().unwrap(),
            &expected(&[4, 3], &[0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]),
        );
        check(
            &t.narrow(2, 1, 2).unwrap().narrow(1, 1, 2).unwrap(),
            &expected(&[2, 2, 2], &[5, 6, 9, 10, 17, 18, 21, 22]),
        );
        check(
            &t.i((1, .., 3)).unwrap().reshape((1, 3)).unwrap(),
            &expected(&[1, 3], &[15, 19, 23]),
        );
        check(
            &t.i((0, 0..1, ..)).unwrap().broadcast_as((3, 4)).unwrap(),
            &expected(&[3, 4], &[0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]),
        );
        check(&t.i((.., 0..0, ..)).unwrap(), &expected(&[2, 0, 4], &[]));
    }

    /// A snapshot is immune to what is then written into the tensor it was taken of.
    fn check_immune(tensor: &Tensor, write: impl FnOnce()) {
        let before = tensor.to_host().unwrap();
        let ready = tensor.snapshot().unwrap();
        let on_device = hold(own_copy(tensor).unwrap()).unwrap();
        let selected = tensor.select(&[0]).unwrap();
        write();
        assert_ne!(
            tensor.to_host().unwrap(),
            before,
            "the write reached nothing"
        );
        assert_eq!(selected.into_host().unwrap(), before.select(&[0]).unwrap());
        assert_eq!(ready.into_host().unwrap(), before);
        assert_eq!(on_device.into_host().unwrap(), before);
    }

    #[test]
    fn snapshots_are_immune_to_an_optimiser_step() {
        let views: [fn(&Var) -> Tensor; 5] = [
            |var| var.as_tensor().clone(),
            |var| var.t().unwrap(),
            |var| var.detach(),
            |var| var.reshape((3, 2)).unwrap(),
            |var| var.narrow(1, 0, 2).unwrap(),
        ];
        for view in views {
            let var = Var::from_tensor(&cpu((2, 3), count(6))).unwrap();
            let step = (var.as_tensor() + 1.0).unwrap();
            check_immune(&view(&var), || var.set(&step).unwrap());
        }
    }

    #[test]
    fn snapshots_are_immune_to_slice_set_on_a_clone() {
        let tensor = cpu((2, 3), count(6));
        let clone = tensor.clone();
        let row = cpu((1, 3), vec![9_f32; 3]);
        check_immune(&tensor, || clone.slice_set(&row, 0, 0).unwrap());
    }

    #[test]
    fn select_takes_images_in_the_order_asked_for() {
        let batch = cpu((4, 1, 2, 2), count(16));
        let host = batch.to_host().unwrap();
        let reversed = batch.t().unwrap();
        for indices in [
            &[0, 1][..],
            &[2, 3],
            &[3],
            &[3, 0],
            &[0, 2, 3],
            &[1, 1],
            &[],
        ] {
            check_snapshot(
                batch.select(indices).unwrap(),
                &host.select(indices).unwrap(),
            );
            check_snapshot(
                reversed.select(indices).unwrap(),
                &reversed.to_host().unwrap().select(indices).unwrap(),
            );
        }
    }

    #[test]
    fn select_works_for_every_dtype() {
        use candle_core::DType::*;
        let batch = cpu((4, 1, 1, 2), count(8));
        for dtype in [U8, U32, I16, I32, I64, BF16, F16, F32, F64, F8E4M3] {
            let batch = batch.to_dtype(dtype).unwrap();
            let host = batch.to_host().unwrap();
            for indices in [&[1, 2][..], &[3, 0]] {
                check_snapshot(
                    batch.select(indices).unwrap(),
                    &host.select(indices).unwrap(),
                );
            }
        }
    }

    #[test]
    fn an_index_past_the_end_is_an_error() {
        let batch = cpu((4, 1, 1, 2), count(8));
        let error = batch.select(&[0, 4]).unwrap_err();
        assert!(matches!(error, Error::Index { index: 4, len: 4 }));
        let scalar = cpu((), vec![1_u8]);
        assert!(matches!(scalar.select(&[0]), Err(Error::Index { .. })));
        assert!(matches!(scalar.select(&[]), Err(Error::Index { .. })));
    }

    #[test]
    fn types_that_candle_only_stores_are_refused_by_name() {
        for (storage, name) in [
            (CpuStorage::F4(vec![0; 4]), "F4"),
            (CpuStorage::F6E2M3(vec![0; 4]), "F6E2M3"),
            (CpuStorage::F6E3M2(vec![0; 4]), "F6E3M2"),
            (CpuStorage::F8E8M0(vec![0; 4]), "F8E8M0"),
        ] {
            let storage = Storage::Cpu(storage);
            let tensor = Tensor::from_storage(storage, (2, 2), BackpropOp::none(), false);
            let expected = format!("a tensor of dtype {name} has no picture: candle only stores");
            for error in [
                tensor.to_host().unwrap_err(),
                tensor.snapshot().unwrap_err(),
                tensor.select(&[0]).unwrap_err(),
                IntoWandbImage::dtype(&tensor).unwrap_err(),
            ] {
                assert!(error.to_string().starts_with(&expected), "{error}");
            }
        }
    }

    #[test]
    fn a_tensor_in_a_graph_is_read_without_it() {
        let var = Var::from_tensor(&cpu((2, 3), count(6))).unwrap();
        let output = var.affine(2.0, 1.0).unwrap();
        let expected = [1.0_f32, 3.0, 5.0, 7.0, 9.0, 11.0];
        check(
            &output,
            &HostTensor::new([2, 3], expected.to_vec()).unwrap(),
        );
        assert!(!own_copy(&output).unwrap().track_op());
    }
}
