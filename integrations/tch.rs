//! tch's [`Tensor`], on any device, contiguous or not, in a graph or not.
//!
//! | tch | torch | arrives as |
//! | --- | --- | --- |
//! | `Bool` | `bool` | the same |
//! | `Uint8`, `Int8`, `Int16` | `uint8`, `int8`, `int16` | the same |
//! | `Int`, `Int64` | `int32`, `int64` | the same |
//! | `Half`, `BFloat16`, `Float`, `Double` | `half`, `bfloat16`, `float`, `double` | the same |
//! | `Complex…`, `QInt8`, `QUInt8`, `QInt32`, `Float8…` | | refused with [`Error::Dtype`], which says how to convert it |
//!
//! A snapshot is always a copy, since torch writes into tensors in place. It stays on the
//! tensor's device until it is read; on the CPU, where the device is the host, it is read at
//! once. Needs libtorch; which version, and how to get it, stands in README.md.
//!
//! ```
//! use tch::{Device, Kind, Tensor};
//! use wandb_image::IntoWandbImage;
//!
//! let tensor = Tensor::f_rand([3, 16, 24], (Kind::Float, Device::Cpu))?;
//! let image = tensor.to_wandb_image()?.caption("noise");
//! # assert_eq!(tensor.shape()?, [3, 16, 24]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use half::{bf16, f16};
use tch::{Device, Kind, TchError, Tensor, kind};

use crate::pixels::check_tensor;
use crate::tensor::{Element, pool, shape_of_selection};
use crate::{DType, Error, HostTensor, IntoWandbImage, Result, Snapshot};

impl IntoWandbImage for Tensor {
    fn to_host(&self) -> Result<HostTensor> {
        check(&self.shape()?, self)?;
        read(self)
    }

    fn shape(&self) -> Result<Vec<usize>> {
        Ok(self.size().iter().map(|&dim| dim as usize).collect())
    }

    fn dtype(&self) -> Result<DType> {
        host_dtype(self)
    }

    fn select(&self, indices: &[usize]) -> Result<Snapshot> {
        check(&shape_of_selection(&self.shape()?, indices)?, self)?;
        hold(selected(self, indices).map_err(device_fault)?)
    }

    fn snapshot(&self) -> Result<Snapshot> {
        check(&self.shape()?, self)?;
        match self.device() {
            Device::Cpu => Ok(Snapshot::ready(read(self)?)),
            device => hold(own_copy(self, device).map_err(device_fault)?),
        }
    }
}

fn kind(tensor: &Tensor) -> Result<Kind> {
    tensor.f_kind().map_err(|error| Error::Dtype {
        dtype: error.to_string(),
        hint: "the tensor is undefined, or of a type that tch doesn't know",
    })
}

/// Refuses what can't become a picture, before a copy of this shape is made: a view that was
/// expanded may be larger than any memory.
fn check(shape: &[usize], tensor: &Tensor) -> Result<()> {
    check_tensor(shape, host_dtype(tensor)?)
}

fn host_dtype(tensor: &Tensor) -> Result<DType> {
    match kind(tensor)? {
        Kind::Bool => Ok(DType::Bool),
        Kind::Uint8 => Ok(DType::U8),
        Kind::Int8 => Ok(DType::I8),
        Kind::Int16 => Ok(DType::I16),
        Kind::Int => Ok(DType::I32),
        Kind::Int64 => Ok(DType::I64),
        Kind::Half => Ok(DType::F16),
        Kind::BFloat16 => Ok(DType::BF16),
        Kind::Float => Ok(DType::F32),
        Kind::Double => Ok(DType::F64),
        other => Err(unsupported(other)),
    }
}

fn unsupported(kind: Kind) -> Error {
    let hint = match kind {
        Kind::ComplexHalf | Kind::ComplexFloat | Kind::ComplexDouble => {
            "take its abs(), real() or imag() first"
        }
        Kind::QInt8 | Kind::QUInt8 | Kind::QInt32 => "call dequantize() on it first",
        _ => "convert it with to_kind(Kind::Float) first",
    };
    Error::Dtype {
        dtype: format!("{kind:?}"),
        hint,
    }
}

/// What torch says, without the addresses on its stack that follow.
fn device_fault(error: TchError) -> Error {
    match error {
        TchError::Torch(message) => {
            let message = message.split("\nException raised from").next();
            Error::device(message.unwrap_or_default())
        }
        other => Error::device(other),
    }
}

/// A snapshot of a tensor that nothing else shares.
fn hold(own: Tensor) -> Result<Snapshot> {
    let dtype = host_dtype(&own)?;
    match own.device() {
        Device::Cpu => Ok(Snapshot::ready(read(&own)?)),
        _ => Ok(Snapshot::new(own.shape()?, dtype, move || read(&own))),
    }
}

/// The same values in a row-major storage of their own.
fn own_copy(tensor: &Tensor, device: Device) -> Result<Tensor, TchError> {
    let mut copy = Tensor::f_empty(tensor.size(), (tensor.f_kind()?, device))?;
    copy.f_copy_(&tensor.f_detach()?)?;
    Ok(copy)
}

fn selected(tensor: &Tensor, indices: &[usize]) -> Result<Tensor, TchError> {
    let indices = Vec::from_iter(indices.iter().map(|&index| index as i64));
    let indices = Tensor::f_from_slice(&indices)?.f_to(tensor.device())?;
    tensor.f_detach()?.f_index_select(0, &indices)
}

fn read(tensor: &Tensor) -> Result<HostTensor> {
    match kind(tensor)? {
        Kind::Bool => host(tensor, bools(tensor)),
        Kind::Uint8 => host(tensor, elements(tensor, 0_u8)),
        Kind::Int8 => host(tensor, elements(tensor, 0_i8)),
        Kind::Int16 => host(tensor, elements(tensor, 0_i16)),
        Kind::Int => host(tensor, elements(tensor, 0_i32)),
        Kind::Int64 => host(tensor, elements(tensor, 0_i64)),
        Kind::Half => host(tensor, elements(tensor, f16::ZERO)),
        Kind::BFloat16 => host(tensor, bf16s(tensor)),
        Kind::Float => host(tensor, elements(tensor, 0_f32)),
        Kind::Double => host(tensor, elements(tensor, 0_f64)),
        other => Err(unsupported(other)),
    }
}

fn host<T: Element>(tensor: &Tensor, elements: Result<Vec<T>, TchError>) -> Result<HostTensor> {
    HostTensor::new(tensor.shape()?, elements.map_err(device_fault)?)
}

/// The elements, row-major, from whatever device. A view of the imaginary part of a conjugate is
/// only marked as negative: `resolve_neg` negates it.
fn elements<T: kind::Element + Element>(tensor: &Tensor, zero: T) -> Result<Vec<T>, TchError> {
    let tensor = tensor.f_detach()?.f_resolve_neg()?;
    let mut elements = pool::of_len(tensor.numel(), zero);
    tensor.f_copy_data(&mut elements, tensor.numel())?;
    Ok(elements)
}

/// A byte of torch's may be more than 0 or 1, a `bool` may not.
fn bools(tensor: &Tensor) -> Result<Vec<bool>, TchError> {
    let bytes = elements(&tensor.f_view_dtype(Kind::Uint8)?, 0_u8)?;
    Ok(bytes.into_iter().map(|byte| byte != 0).collect())
}

/// tch takes `bf16` for `Half`, so the bits are read.
fn bf16s(tensor: &Tensor) -> Result<Vec<bf16>, TchError> {
    let bits = elements(&tensor.f_view_dtype(Kind::Int16)?, 0_i16)?;
    Ok(bits
        .into_iter()
        .map(|bits| bf16::from_bits(bits.cast_unsigned()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(shape: &[i64]) -> Tensor {
        Tensor::arange(shape.iter().product::<i64>(), (Kind::Float, Device::Cpu)).view(shape)
    }

    /// Every way to the host gives `expected`.
    fn check(tensor: &Tensor, expected: &HostTensor) {
        assert_eq!(&tensor.to_host().unwrap(), expected);
        assert_eq!(tensor.shape().unwrap(), expected.shape());
        assert_eq!(tensor.dtype().unwrap(), expected.dtype());
        check_snapshot(tensor.snapshot().unwrap(), expected);
        check_snapshot(on_device(tensor), expected);
    }

    /// The snapshot that a tensor on another device than the CPU gets.
    fn on_device(tensor: &Tensor) -> Snapshot {
        let own = own_copy(tensor, tensor.device()).unwrap();
        assert!(own.is_contiguous() && !own.requires_grad());
        hold(own).unwrap()
    }

    fn check_snapshot(snapshot: Snapshot, expected: &HostTensor) {
        assert_eq!(snapshot.shape(), expected.shape());
        assert_eq!(snapshot.dtype(), expected.dtype());
        assert_eq!(&snapshot.into_host().unwrap(), expected);
    }

    fn check_dtype<T: Element + kind::Element>(values: [T; 4]) {
        let expected = HostTensor::new([2, 2], values.to_vec()).unwrap();
        check(&Tensor::from_slice(&values).view([2, 2]), &expected);
    }

    #[test]
    fn dtypes_arrive_as_they_are() {
        check_dtype([false, true, true, false]);
        check_dtype([0_u8, 1, 128, u8::MAX]);
        check_dtype([0_i8, -1, i8::MIN, i8::MAX]);
        check_dtype([0_i16, -1, i16::MIN, i16::MAX]);
        check_dtype([0_i32, -1, i32::MIN, i32::MAX]);
        check_dtype([0_i64, -1, i64::MIN, i64::MAX]);
        check_dtype([0.0_f32, -1.5, f32::MIN_POSITIVE, f32::INFINITY]);
        check_dtype([0.0_f64, -1.5, f64::MIN_POSITIVE, f64::INFINITY]);
        check_dtype([0.0, -1.5, 0.1, 65504.0].map(f16::from_f32));
    }

    #[test]
    fn bf16_arrives_bit_for_bit() {
        let values = [0.0_f32, -1.5, 0.1, 1e38];
        let tensor = Tensor::from_slice(&values).to_kind(Kind::BFloat16);
        let expected = values.map(bf16::from_f32).to_vec();
        check(&tensor, &HostTensor::new([4], expected).unwrap());
        let every_second = tensor.slice(0, 1, None, 2);
        let expected = [-1.5, 1e38].map(bf16::from_f32).to_vec();
        check(&every_second, &HostTensor::new([2], expected).unwrap());
    }

    #[test]
    fn a_bool_of_any_byte_is_a_bool() {
        let tensor = Tensor::from_slice(&[0_u8, 1, 2, 255]).view_dtype(Kind::Bool);
        let expected = vec![false, true, true, true];
        check(&tensor, &HostTensor::new([4], expected).unwrap());
    }

    #[test]
    fn views_arrive_row_major() {
        let t = count(&[2, 3, 4]);
        let expected = |shape: &[usize], values: &[u8]| {
            HostTensor::new(shape, values.iter().map(|&v| f32::from(v)).collect()).unwrap()
        };
        check(
            &t.get(0).tr(),
            &expected(&[4, 3], &[0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]),
        );
        check(
            &t.narrow(2, 1, 2).narrow(1, 1, 2),
            &expected(&[2, 2, 2], &[5, 6, 9, 10, 17, 18, 21, 22]),
        );
        check(&t.select(2, 3), &expected(&[2, 3], &[3, 7, 11, 15, 19, 23]));
        check(
            &t.get(0).narrow(0, 0, 1).expand([3, 4], false),
            &expected(&[3, 4], &[0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]),
        );
        check(&t.narrow(1, 0, 0), &expected(&[2, 0, 4], &[]));
        check(&Tensor::from(7_f32), &expected(&[], &[7]));
    }

    #[test]
    fn a_view_that_is_only_marked_negative_is_negated() {
        let real = Tensor::from_slice(&[0_f32, 0.0]);
        let imaginary = Tensor::from_slice(&[1_f32, -2.0]);
        let view = Tensor::complex(&real, &imaginary).conj().imag();
        assert!(view.is_neg());
        check(&view, &HostTensor::new([2], vec![-1_f32, 2.0]).unwrap());
        let selected = IntoWandbImage::select(&view, &[1]).unwrap();
        check_snapshot(selected, &HostTensor::new([1], vec![2_f32]).unwrap());
    }

    #[test]
    fn a_tensor_in_a_graph_is_read_without_it() {
        let leaf = count(&[2, 3]).set_requires_grad(true);
        let output = &leaf * 2.0 + 1.0;
        let expected = vec![1_f32, 3.0, 5.0, 7.0, 9.0, 11.0];
        let expected = HostTensor::new([2, 3], expected).unwrap();
        check(&output, &expected);
        let selected = IntoWandbImage::select(&output, &[1, 0]).unwrap();
        check_snapshot(selected, &expected.select(&[1, 0]).unwrap());
    }

    /// A snapshot is immune to what is then written into the tensor it was taken of.
    fn check_immune(tensor: &Tensor, write: impl FnOnce()) {
        let before = tensor.to_host().unwrap();
        let ready = tensor.snapshot().unwrap();
        let on_device = on_device(tensor);
        let selected = IntoWandbImage::select(tensor, &[0]).unwrap();
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
    fn snapshots_are_immune_to_writes_in_place() {
        let views: [fn(&Tensor) -> Tensor; 5] = [
            Tensor::shallow_clone,
            Tensor::tr,
            Tensor::detach,
            |t| t.view([3, 2]),
            |t| t.narrow(1, 0, 2),
        ];
        for view in views {
            let mut tensor = count(&[2, 3]);
            check_immune(&view(&tensor), || drop(tensor.g_add_scalar_(1.0)));
        }
    }

    #[test]
    fn select_takes_images_in_the_order_asked_for() {
        let batch = count(&[4, 1, 2, 2]);
        let turned = batch.transpose(2, 3);
        for batch in [
            &batch,
            &turned,
            &batch.to_kind(Kind::BFloat16),
            &batch.gt(5.0),
        ] {
            let host = batch.to_host().unwrap();
            for indices in [&[0, 1][..], &[3], &[3, 0], &[1, 1], &[]] {
                check_snapshot(
                    IntoWandbImage::select(batch, indices).unwrap(),
                    &host.select(indices).unwrap(),
                );
            }
        }
    }

    #[test]
    fn an_index_past_the_end_is_an_error() {
        let batch = count(&[4, 1, 1, 2]);
        let error = IntoWandbImage::select(&batch, &[0, 4]).unwrap_err();
        assert!(matches!(error, Error::Index { index: 4, len: 4 }));
        let error = IntoWandbImage::select(&Tensor::from(7_f32), &[0]).unwrap_err();
        assert!(matches!(error, Error::Index { .. }));
    }

    fn check_refused(tensor: &Tensor, expected: &str) {
        for error in [
            tensor.to_host().unwrap_err(),
            tensor.snapshot().unwrap_err(),
            tensor.dtype().unwrap_err(),
            IntoWandbImage::select(tensor, &[0]).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Dtype { .. }));
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn types_without_a_picture_are_refused_by_name() {
        let t = count(&[2, 2]);
        for (kind, name) in [
            (Kind::ComplexFloat, "ComplexFloat"),
            (Kind::ComplexDouble, "ComplexDouble"),
        ] {
            let message = format!(
                "a tensor of dtype {name} has no picture: take its abs(), real() or imag() first"
            );
            check_refused(&t.to_kind(kind), &message);
        }
        check_refused(
            &t.quantize_per_tensor(0.1, 0, Kind::QUInt8),
            "a tensor of dtype QUInt8 has no picture: call dequantize() on it first",
        );
        check_refused(
            &t.to_kind(Kind::Float8e4m3fn),
            "a tensor of dtype Float8e4m3fn has no picture: convert it with to_kind(Kind::Float) first",
        );
    }

    #[test]
    fn a_tensor_that_torch_cant_read_is_an_error() {
        let sparse = count(&[2, 2]).to_sparse_sparse_dim(2);
        let error = sparse.to_host().unwrap_err();
        assert!(matches!(error, Error::Device { .. }));
        assert!(!error.to_string().contains("frame #"), "{error}");
        for tensor in [&sparse, &Tensor::new()] {
            assert!(tensor.to_host().is_err());
            assert!(tensor.snapshot().is_err());
            assert!(IntoWandbImage::select(tensor, &[0]).is_err());
        }
    }
}
