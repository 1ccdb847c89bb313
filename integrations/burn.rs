//! burn's [`Tensor`] of any kind ([`Float`], [`Int`], [`Bool`]), on any device, inside autodiff
//! or not. A picture has 2, 3 or 4 dimensions; for another number of them
//! [`to_wandb_image`](IntoWandbImage::to_wandb_image) returns [`Error::Rank`].
//!
//! | burn | arrives as |
//! | --- | --- |
//! | `F64`, `F32`, `F16`, `BF16` | the same |
//! | `Flex32` | [`DType::F32`] |
//! | `QFloat` | dequantized on its device, to the device's float type |
//! | `I64`, `I32`, `I16`, `I8`, `U64`, `U32`, `U16`, `U8` | the same |
//! | `Bool`, whatever stores it | [`DType::Bool`] |
//!
//! A snapshot shares the tensor, without a copy and without its autodiff graph: burn's tensors
//! are values, and an operation writes in place only where nobody else holds the storage.
//!
//! ```
//! use burn::tensor::Tensor;
//! use wandb_image::{Image, IntoWandbImage, Result};
//!
//! fn picture(batch: &Tensor<4>) -> Result<Image> {
//!     Ok(batch.to_wandb_image()?.caption("a grid of the batch"))
//! }
//! ```

use burn::tensor::kind::{Autodiff, Basic, Kind};
use burn::tensor::{Bool, BoolStore, DType as Stored, Float, Int, Tensor, TensorData};

use crate::pixels::check_tensor;
use crate::tensor::{Element, shape_of_selection};
use crate::{DType, Error, HostTensor, IntoWandbImage, Result, Snapshot};

/// The methods of [`IntoWandbImage`] for one kind, whose tensors `$plain` frees of what has no
/// picture: the graph, the quantization.
macro_rules! tensor_of_kind {
    ($kind:ty, $plain:path) => {
        impl<const D: usize> IntoWandbImage for Tensor<D, $kind> {
            fn to_host(&self) -> Result<HostTensor> {
                check_tensor(&self.dims(), host_dtype(self))?;
                read($plain(self))
            }

            fn shape(&self) -> Result<Vec<usize>> {
                Ok(self.dims().to_vec())
            }

            fn dtype(&self) -> Result<DType> {
                Ok(host_dtype(&$plain(self)))
            }

            fn select(&self, indices: &[usize]) -> Result<Snapshot> {
                let shape = shape_of_selection(&self.dims(), indices)?;
                check_tensor(&shape, host_dtype(self))?;
                if indices.is_empty() {
                    return Ok(Snapshot::ready(self.to_host()?.select(indices)?));
                }
                Ok(hold(selected($plain(self), indices)))
            }

            fn snapshot(&self) -> Result<Snapshot> {
                check_tensor(&self.dims(), host_dtype(self))?;
                Ok(hold($plain(self)))
            }
        }
    };
}

tensor_of_kind!(Float, dequantized);
tensor_of_kind!(Int, without_graph);
tensor_of_kind!(Bool, without_graph);

fn without_graph<const D: usize, K: Autodiff>(tensor: &Tensor<D, K>) -> Tensor<D, K> {
    tensor.clone().without_autodiff()
}

fn dequantized<const D: usize>(tensor: &Tensor<D>) -> Tensor<D> {
    without_graph(tensor).dequantize()
}

/// What the kind makes of its storage: burn's flex calls a selection of bools `U8`.
fn stored(kind: Kind, dtype: Stored) -> Stored {
    match (kind, dtype) {
        (Kind::Bool, Stored::U8) => Stored::Bool(BoolStore::U8),
        (Kind::Bool, Stored::U32) => Stored::Bool(BoolStore::U32),
        (_, dtype) => dtype,
    }
}

fn host_dtype<const D: usize, K: Basic>(tensor: &Tensor<D, K>) -> DType {
    match stored(K::KIND, tensor.dtype()) {
        Stored::F64 => DType::F64,
        Stored::F32 | Stored::Flex32 | Stored::QFloat(_) => DType::F32,
        Stored::F16 => DType::F16,
        Stored::BF16 => DType::BF16,
        Stored::I64 => DType::I64,
        Stored::I32 => DType::I32,
        Stored::I16 => DType::I16,
        Stored::I8 => DType::I8,
        Stored::U64 => DType::U64,
        Stored::U32 => DType::U32,
        Stored::U16 => DType::U16,
        Stored::U8 => DType::U8,
        Stored::Bool(_) => DType::Bool,
    }
}

fn selected<const D: usize, K: Basic>(tensor: Tensor<D, K>, indices: &[usize]) -> Tensor<D, K> {
    let indices = Vec::from_iter(indices.iter().map(|&index| index as i64));
    let count = indices.len();
    let indices = TensorData::new(indices, [count]);
    let indices = Tensor::<1, Int>::from_data(indices, &tensor.device());
    tensor.select(0, indices)
}

fn hold<const D: usize, K: Basic + 'static>(tensor: Tensor<D, K>) -> Snapshot
where
    Tensor<D, K>: Send,
{
    Snapshot::new(tensor.dims(), host_dtype(&tensor), move || read(tensor))
}

fn read<const D: usize, K: Basic>(tensor: Tensor<D, K>) -> Result<HostTensor> {
    host_of(K::KIND, tensor.try_into_data().map_err(Error::device)?)
}

fn host_of(kind: Kind, data: TensorData) -> Result<HostTensor> {
    match stored(kind, data.dtype()) {
        Stored::F64 => host::<f64>(data),
        Stored::F32 => host::<f32>(data),
        Stored::Flex32 => host::<f32>(data.try_cast(Stored::F32).map_err(Error::device)?),
        Stored::F16 => host::<half::f16>(data),
        Stored::BF16 => host::<half::bf16>(data),
        Stored::I64 => host::<i64>(data),
        Stored::I32 => host::<i32>(data),
        Stored::I16 => host::<i16>(data),
        Stored::I8 => host::<i8>(data),
        Stored::U64 => host::<u64>(data),
        Stored::U32 => host::<u32>(data),
        Stored::U16 => host::<u16>(data),
        Stored::U8 => host::<u8>(data),
        Stored::Bool(BoolStore::Native) => host::<bool>(data),
        Stored::Bool(BoolStore::U8) => truth(data, |byte: u8| byte != 0),
        Stored::Bool(BoolStore::U32) => truth(data, |word: u32| word != 0),
        Stored::QFloat(scheme) => Err(Error::Dtype {
            dtype: format!("QFloat({scheme:?})"),
            hint: "call dequantize() on it first",
        }),
    }
}

fn host<T: Element + burn::tensor::Element>(data: TensorData) -> Result<HostTensor> {
    let shape = data.shape().to_vec();
    HostTensor::new(shape, data.try_into_vec::<T>().map_err(Error::device)?)
}

fn truth<T: burn::tensor::Element>(
    data: TensorData,
    is_true: impl Fn(T) -> bool,
) -> Result<HostTensor> {
    let shape = data.shape().to_vec();
    let stored = data.try_into_vec::<T>().map_err(Error::device)?;
    HostTensor::new(shape, stored.into_iter().map(is_true).collect())
}

#[cfg(feature = "burn-example")]
#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use burn::tensor::quantization::QuantScheme;
    use half::{bf16, f16};

    use super::*;

    fn count<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        let n = shape.iter().product::<usize>();
        let values = Vec::from_iter((0..n).map(|i| i as f32));
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    /// Every way to the host gives `expected`.
    fn check<T: IntoWandbImage>(tensor: &T, expected: &HostTensor) {
        assert_eq!(&tensor.to_host().unwrap(), expected);
        assert_eq!(tensor.shape().unwrap(), expected.shape());
        assert_eq!(tensor.dtype().unwrap(), expected.dtype());
        check_snapshot(tensor.snapshot().unwrap(), expected);
        for indices in [&[0][..], &[1, 0], &[1, 1], &[]] {
            check_snapshot(
                tensor.select(indices).unwrap(),
                &expected.select(indices).unwrap(),
            );
        }
    }

    fn check_snapshot(snapshot: Snapshot, expected: &HostTensor) {
        assert_eq!(snapshot.shape(), expected.shape());
        assert_eq!(snapshot.dtype(), expected.dtype());
        assert_eq!(&snapshot.into_host().unwrap(), expected);
    }

    fn check_dtype<T, K>(values: [T; 4])
    where
        T: Element + burn::tensor::Element,
        K: Basic,
        Tensor<2, K>: IntoWandbImage,
    {
        let data = TensorData::new(values.to_vec(), [2, 2]);
        let options = (&Device::flex(), data.dtype());
        let tensor = Tensor::<2, K>::from_data(data, options);
        let expected = HostTensor::new([2, 2], values.to_vec()).unwrap();
        check(&tensor, &expected);
    }

    #[test]
    fn dtypes_arrive_as_they_are() {
        check_dtype::<_, Bool>([false, true, true, false]);
        check_dtype::<_, Int>([0_u8, 1, 128, u8::MAX]);
        check_dtype::<_, Int>([0_u16, 1, 128, u16::MAX]);
        check_dtype::<_, Int>([0_u32, 1, 128, u32::MAX]);
        check_dtype::<_, Int>([0_u64, 1, 128, u64::MAX]);
        check_dtype::<_, Int>([0_i8, -1, i8::MIN, i8::MAX]);
        check_dtype::<_, Int>([0_i16, -1, i16::MIN, i16::MAX]);
        check_dtype::<_, Int>([0_i32, -1, i32::MIN, i32::MAX]);
        check_dtype::<_, Int>([0_i64, -1, i64::MIN, i64::MAX]);
        check_dtype::<_, Float>([0.0_f32, -1.5, f32::MIN_POSITIVE, f32::INFINITY]);
        check_dtype::<_, Float>([0.0_f64, -1.5, f64::MIN_POSITIVE, f64::INFINITY]);
        check_dtype::<_, Float>([0.0, -1.5, 0.1, 65504.0].map(f16::from_f32));
        check_dtype::<_, Float>([0.0, -1.5, 0.1, 1e38].map(bf16::from_f32));
    }

    #[test]
    fn bools_arrive_as_bools_whatever_stores_them() {
        let expected = HostTensor::new([2, 2], vec![false, true, true, false]).unwrap();
        let bytes = vec![0_u8, 1, 2, 0];
        let words = [0_u32, 1, 256, 0].map(u32::to_ne_bytes).concat();
        for (bytes, dtype) in [
            (bytes.clone(), Stored::Bool(BoolStore::U8)),
            (words.clone(), Stored::Bool(BoolStore::U32)),
            (bytes, Stored::U8),
            (words, Stored::U32),
        ] {
            let data = TensorData::from_bytes_vec(bytes, [2, 2], dtype);
            assert_eq!(host_of(Kind::Bool, data).unwrap(), expected);
        }
    }

    #[test]
    fn flex32_arrives_as_f32() {
        let values = [0.0_f32, -1.5, 0.1, 3.0];
        let bytes = values.map(f32::to_ne_bytes).concat();
        let data = TensorData::from_bytes_vec(bytes, [2, 2], Stored::Flex32);
        let expected = HostTensor::new([2, 2], values.to_vec()).unwrap();
        assert_eq!(host_of(Kind::Float, data).unwrap(), expected);
    }

    #[test]
    fn every_rank_arrives() {
        check(
            &count([2]),
            &HostTensor::new([2], vec![0_f32, 1.0]).unwrap(),
        );
        let expected = HostTensor::new([2, 1, 1, 1, 1], vec![0_f32, 1.0]).unwrap();
        check(&count([2, 1, 1, 1, 1]), &expected);
    }

    #[test]
    fn views_arrive_row_major() {
        let t = count([2, 3]);
        let expected = |shape: [usize; 2], values: [u8; 6]| {
            HostTensor::new(shape, values.map(f32::from).to_vec()).unwrap()
        };
        check(
            &t.clone().transpose(),
            &expected([3, 2], [0, 3, 1, 4, 2, 5]),
        );
        check(&t.clone().flip([1]), &expected([2, 3], [2, 1, 0, 5, 4, 3]));
        check(
            &count([4, 5]).slice([1..3, 1..4]),
            &expected([2, 3], [6, 7, 8, 11, 12, 13]),
        );
        check(
            &count([1, 3]).expand([2, 3]),
            &expected([2, 3], [0, 1, 2, 0, 1, 2]),
        );
    }

    #[test]
    fn a_quantized_tensor_is_dequantized() {
        let quantized = (count([2, 4]) - 3.0).quantize_dynamic(&QuantScheme::default());
        assert!(matches!(quantized.dtype(), Stored::QFloat(_)));
        let expected = quantized.clone().dequantize().to_host().unwrap();
        assert_eq!(expected.dtype(), DType::F32);
        check(&quantized, &expected);
    }

    #[test]
    fn a_tensor_inside_autodiff_is_read_without_its_graph() {
        let device = Device::flex().autodiff();
        let values = TensorData::new(vec![1_f32, 2.0, 3.0, 4.0], [2, 2]);
        let leaf = Tensor::<2>::from_data(values, &device).require_grad();
        let output = leaf.clone() * 2.0;
        check(
            &leaf,
            &HostTensor::new([2, 2], vec![1_f32, 2.0, 3.0, 4.0]).unwrap(),
        );
        check(
            &output,
            &HostTensor::new([2, 2], vec![2_f32, 4.0, 6.0, 8.0]).unwrap(),
        );
        let snapshot = output.snapshot().unwrap();
        let gradients = output.backward();
        assert_eq!(
            leaf.grad(&gradients).unwrap().to_host().unwrap().shape(),
            [2, 2]
        );
        assert_eq!(snapshot.into_host().unwrap().shape(), [2, 2]);
        let mask = Tensor::<2, Bool>::from_data([[true, false], [false, true]], &device);
        let expected = vec![true, false, false, true];
        check(&mask, &HostTensor::new([2, 2], expected).unwrap());
    }

    #[test]
    fn snapshots_are_immune_to_operations_in_place() {
        let operations: [fn(Tensor<2>) -> Tensor<2>; 4] = [
            |t| t + 1.0,
            |t| t.slice_fill([0..1, 0..3], 9.0),
            |t| t.slice_assign([0..1, 0..1], count([1, 1]) + 7.0),
            |t| t.transpose().add_scalar(1.0).transpose(),
        ];
        for operation in operations {
            let mut tensor = count([2, 3]);
            let before = tensor.to_host().unwrap();
            let snapshot = tensor.snapshot().unwrap();
            let selected = IntoWandbImage::select(&tensor, &[0]).unwrap();
            tensor.inplace(operation);
            assert_ne!(tensor.to_host().unwrap(), before);
            assert_eq!(snapshot.into_host().unwrap(), before);
            assert_eq!(selected.into_host().unwrap(), before.select(&[0]).unwrap());
        }
    }

    #[test]
    fn an_index_past_the_end_is_an_error() {
        let error = IntoWandbImage::select(&count([4, 1, 1, 2]), &[0, 4]).unwrap_err();
        assert!(matches!(error, Error::Index { index: 4, len: 4 }));
    }
}
