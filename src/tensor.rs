//! A tensor on the host: the one form that every framework's tensor takes on its way to a picture.
//!
//! An integration hands over a [`HostTensor`] and stops; everything after it is the same for
//! every framework.

pub(crate) mod pool;

use half::{bf16, f16};

use crate::error::{Error, Result};

/// The element type of a [`HostTensor`].
///
/// Types that a framework has and this list lacks are widened without loss by its integration
/// (F8E4M3 to F32) or refused with [`Error::Dtype`] (complex numbers, F4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DType {
    /// `false` and `true`, read as 0 and 1.
    Bool,
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 16 bits.
    U16,
    /// Signed, 16 bits.
    I16,
    /// Unsigned, 32 bits.
    U32,
    /// Signed, 32 bits.
    I32,
    /// Unsigned, 64 bits.
    U64,
    /// Signed, 64 bits.
    I64,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    BF16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
}

impl DType {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::U8 => "u8",
            DType::I8 => "i8",
            DType::U16 => "u16",
            DType::I16 => "i16",
            DType::U32 => "u32",
            DType::I32 => "i32",
            DType::U64 => "u64",
            DType::I64 => "i64",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::F32 => "f32",
            DType::F64 => "f64",
        }
    }

    /// Bytes per element.
    ///
    /// ```
    /// assert_eq!(wandb_image::DType::BF16.size(), 2);
    /// ```
    pub const fn size(self) -> usize {
        match self {
            DType::Bool | DType::U8 | DType::I8 => 1,
            DType::U16 | DType::I16 | DType::F16 | DType::BF16 => 2,
            DType::U32 | DType::I32 | DType::F32 => 4,
            DType::U64 | DType::I64 | DType::F64 => 8,
        }
    }

    pub(crate) const fn is_float(self) -> bool {
        matches!(self, DType::F16 | DType::BF16 | DType::F32 | DType::F64)
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The elements of a [`HostTensor`], row-major, in a vector of their own type: no copy, no
/// alignment cast.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is the dtype of its name")]
pub enum Elements {
    Bool(Vec<bool>),
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// Runs `$body` with `$v` bound to the vector inside any variant of [`Elements`].
macro_rules! each_dtype {
    ($elements:expr, $v:ident => $body:expr) => {
        match $elements {
            $crate::tensor::Elements::Bool($v) => $body,
            $crate::tensor::Elements::U8($v) => $body,
            $crate::tensor::Elements::I8($v) => $body,
            $crate::tensor::Elements::U16($v) => $body,
            $crate::tensor::Elements::I16($v) => $body,
            $crate::tensor::Elements::U32($v) => $body,
            $crate::tensor::Elements::I32($v) => $body,
            $crate::tensor::Elements::U64($v) => $body,
            $crate::tensor::Elements::I64($v) => $body,
            $crate::tensor::Elements::F16($v) => $body,
            $crate::tensor::Elements::BF16($v) => $body,
            $crate::tensor::Elements::F32($v) => $body,
            $crate::tensor::Elements::F64($v) => $body,
        }
    };
}
pub(crate) use each_dtype;

impl std::fmt::Debug for Elements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let n = each_dtype!(self, v => v.len());
        write!(f, "{n} × {}", self.dtype())
    }
}

impl Elements {
    /// The type of these elements.
    pub fn dtype(&self) -> DType {
        match self {
            Elements::Bool(_) => DType::Bool,
            Elements::U8(_) => DType::U8,
            Elements::I8(_) => DType::I8,
            Elements::U16(_) => DType::U16,
            Elements::I16(_) => DType::I16,
            Elements::U32(_) => DType::U32,
            Elements::I32(_) => DType::I32,
            Elements::U64(_) => DType::U64,
            Elements::I64(_) => DType::I64,
            Elements::F16(_) => DType::F16,
            Elements::BF16(_) => DType::BF16,
            Elements::F32(_) => DType::F32,
            Elements::F64(_) => DType::F64,
        }
    }
}

/// A Rust type that is the element of a tensor: the numbers of [`DType`] and `bool`.
///
/// Sealed: the set of dtypes is fixed by what can become a picture.
pub trait Element: Copy + Send + Sync + 'static + sealed::Sealed {
    /// The dtype of this type.
    const DTYPE: DType;

    /// Moves a vector of this type into [`Elements`], without a copy.
    fn into_elements(values: Vec<Self>) -> Elements;
}

mod sealed {
    use super::Elements;

    pub trait Sealed: Sized {
        fn of_elements(elements: &Elements) -> Option<&Vec<Self>>;
        fn from_elements(elements: Elements) -> Option<Vec<Self>>;
    }
}

macro_rules! element {
    ($($t:ty => $variant:ident),* $(,)?) => {$(
        impl sealed::Sealed for $t {
            fn of_elements(elements: &Elements) -> Option<&Vec<Self>> {
                match elements {
                    Elements::$variant(values) => Some(values),
                    _ => None,
                }
            }
            fn from_elements(elements: Elements) -> Option<Vec<Self>> {
                match elements {
                    Elements::$variant(values) => Some(values),
                    _ => None,
                }
            }
        }
        impl Element for $t {
            const DTYPE: DType = DType::$variant;
            fn into_elements(values: Vec<Self>) -> Elements {
                Elements::$variant(values)
            }
        }
    )*};
}

element! {
    bool => Bool, u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32,
    u64 => U64, i64 => I64, f16 => F16, bf16 => BF16, f32 => F32, f64 => F64,
}

/// A tensor in host memory: a shape and its elements in row-major order.
///
/// The number of elements always is the product of the shape: it can't be built otherwise.
///
/// ```
/// use wandb_image::{HostTensor, IntoWandbImage};
///
/// let gradient: Vec<f32> = (0..64).map(|i| i as f32 / 63.0).collect();
/// let tensor = HostTensor::new([1, 8, 8], gradient)?;
/// let image = tensor.to_wandb_image()?;
/// assert_eq!((image.width(), image.height()), (8, 8));
/// # Ok::<(), wandb_image::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    shape: Vec<usize>,
    elements: Elements,
}

impl HostTensor {
    /// A tensor of this shape with these elements, row-major (the last dimension moves fastest).
    ///
    /// # Errors
    ///
    /// [`Error::Length`] when the number of elements isn't the product of the shape.
    pub fn new<T: Element>(shape: impl Into<Vec<usize>>, elements: Vec<T>) -> Result<Self> {
        let shape = shape.into();
        let expected = shape
            .iter()
            .try_fold(1_usize, |product, &dim| product.checked_mul(dim));
        if expected != Some(elements.len()) {
            return Err(Error::Length {
                shape,
                given: elements.len(),
            });
        }
        Ok(Self {
            shape,
            elements: T::into_elements(elements),
        })
    }

    /// The dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.elements.dtype()
    }

    /// The elements, row-major.
    pub fn elements(&self) -> &Elements {
        &self.elements
    }

    /// Keeps its memory for a tensor that comes later.
    pub(crate) fn recycle(self) {
        pool::give_back(self.elements);
    }

    /// Bytes that the elements take.
    pub fn size_bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype().size()
    }

    /// The slices `indices` of the first dimension, in that order.
    ///
    /// # Errors
    ///
    /// [`Error::Index`] when an index isn't below the first dimension.
    pub(crate) fn select(&self, indices: &[usize]) -> Result<Self> {
        let shape = shape_of_selection(&self.shape, indices)?;
        each_dtype!(&self.elements, v => {
            let stride = v.len().checked_div(self.shape[0]).unwrap_or(0);
            let picked = indices.iter().map(|&i| &v[i * stride..(i + 1) * stride]);
            HostTensor::new(shape, picked.collect::<Vec<_>>().concat())
        })
    }

    /// A tensor of this shape, its elements filled in from these.
    pub(crate) fn same_shape<T: Element + Default>(
        &self,
        fill: impl FnOnce(&Elements, &mut [T]),
    ) -> Self {
        let len = each_dtype!(&self.elements, v => v.len());
        let mut filled = vec![T::default(); len];
        fill(&self.elements, &mut filled);
        Self {
            shape: self.shape.clone(),
            elements: T::into_elements(filled),
        }
    }

    /// A copy in memory that an earlier tensor may have given back.
    pub(crate) fn copied(&self) -> Result<Self> {
        each_dtype!(&self.elements, v => HostTensor::new(&*self.shape, pool::copied(v)))
    }
}

/// The shape of the slices `indices` of the first dimension of a tensor of this shape.
///
/// # Errors
///
/// [`Error::Index`] names the first that it lacks; a scalar has none.
pub(crate) fn shape_of_selection(shape: &[usize], indices: &[usize]) -> Result<Vec<usize>> {
    let Some((&len, slice)) = shape.split_first() else {
        return Err(Error::Index { index: 0, len: 0 });
    };
    match indices.iter().find(|&&index| index >= len) {
        Some(&index) => Err(Error::Index { index, len }),
        None => Ok([&[indices.len()], slice].concat()),
    }
}

/// A tensor as it was at one moment, still on its device: owned, `Send`, and read once.
///
/// What an integration returns from [`IntoWandbImage::snapshot`](crate::IntoWandbImage::snapshot): a copy on the device, or a
/// share of storage that nobody writes to.
#[must_use]
pub struct Snapshot {
    shape: Vec<usize>,
    dtype: DType,
    read: Box<dyn FnOnce() -> Result<HostTensor> + Send>,
}

impl Snapshot {
    /// A snapshot of this shape and dtype that `read` brings to the host, later and perhaps on
    /// another thread.
    ///
    /// ```
    /// use wandb_image::{DType, HostTensor, Snapshot};
    ///
    /// let snapshot = Snapshot::new([1, 2], DType::U8, || HostTensor::new([1, 2], vec![7_u8, 8]));
    /// assert_eq!(snapshot.size_bytes(), 2);
    /// assert_eq!(snapshot.into_host()?.shape(), [1, 2]);
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn new(
        shape: impl Into<Vec<usize>>,
        dtype: DType,
        read: impl FnOnce() -> Result<HostTensor> + Send + 'static,
    ) -> Self {
        Self {
            shape: shape.into(),
            dtype,
            read: Box::new(read),
        }
    }

    /// A snapshot that is on the host already.
    pub fn ready(tensor: HostTensor) -> Self {
        Self::new(tensor.shape().to_vec(), tensor.dtype(), move || Ok(tensor))
    }

    /// The dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The dtype that arrives on the host.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Bytes that it takes on the host.
    pub fn size_bytes(&self) -> usize {
        self.shape.iter().fold(self.dtype.size(), |product, &dim| {
            product.saturating_mul(dim)
        })
    }

    /// The tensor on the host.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] when the device can't be read.
    pub fn into_host(self) -> Result<HostTensor> {
        (self.read)()
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("shape", &self.shape)
            .field("dtype", &self.dtype)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_length_names_shape_and_count() {
        let error = HostTensor::new([2, 3], vec![0_u8; 5]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a tensor of shape [2, 3] has 6 elements, but 5 were given"
        );
    }

    #[test]
    fn a_shape_whose_product_overflows_is_an_error() {
        assert!(HostTensor::new([usize::MAX, 2], vec![0_u8; 5]).is_err());
    }

    #[test]
    fn select_takes_rows_in_the_order_asked_for() {
        let t = HostTensor::new([3, 2], vec![0_u8, 1, 2, 3, 4, 5]).unwrap();
        let expected = HostTensor::new([2, 2], vec![4_u8, 5, 0, 1]).unwrap();
        assert_eq!(t.select(&[2, 0]).unwrap(), expected);
        assert!(t.select(&[3]).is_err());
        let none = HostTensor::new([0, usize::MAX, 2], Vec::<u8>::new()).unwrap();
        assert_eq!(none.select(&[]).unwrap(), none);
    }
}
