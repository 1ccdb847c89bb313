//! NumPy's `.npy` files.

use std::io::{Read, Seek};
use std::path::Path;

use half::f16;
use npyz::{Endianness, NpyHeader, Order, TypeChar, TypeStr};

use super::tensor_file::{ByteOrder, TensorFile, booleans, numbers};
use crate::error::Result;
use crate::tensor::{Element, HostTensor};

/// The greatest header that is read: NumPy writes a hundred bytes, and itself reads 10,000.
const MAX_HEADER_BYTES: u64 = 64 * 1024;

/// How deep brackets may stand in each other; NumPy's plain arrays need two.
const MAX_DEPTH: usize = 8;

/// The array in a `.npy` file, row-major.
///
/// | NumPy dtype | read as |
/// | --- | --- |
/// | `bool` | `Bool` |
/// | `uint8` to `uint64`, `int8` to `int64` | the same |
/// | `float16`, `float32`, `float64` | `F16`, `F32`, `F64` |
///
/// Big-endian and little-endian, C order and Fortran order. Every other dtype (complex, strings,
/// dates, objects, structures, `longdouble`) is refused.
///
/// NumPy's arrays are (H, W, C), and W&B treats their values by
/// [`ToUint8`](crate::Normalize::ToUint8); a [`HostTensor`] is taken for a tensor unless its
/// options say so.
///
/// ```
/// use wandb_image::decode::read_npy;
/// use wandb_image::{ImageOptions, IntoWandbImage, Layout, Normalize};
/// # use npyz::WriterBuilder;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("field.npy");
/// # let file = std::fs::File::create(&path)?;
/// # let options = npyz::WriteOptions::new().default_dtype().shape(&[1, 2, 1]).writer(file);
/// # let mut writer = options.begin_nd()?;
/// # writer.extend([0.0_f32, 1.0])?;
/// # writer.finish()?;
///
/// let array = read_npy(&path)?;
/// let options = ImageOptions::new().layout(Layout::Hwc).normalize(Normalize::ToUint8);
/// let image = array.to_wandb_image_with(&options)?;
/// assert_eq!((image.width(), image.height()), (2, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::Io`](crate::Error::Io) when the file can't be read,
/// [`Error::TensorFile`](crate::Error::TensorFile) when it is no `.npy` file or a damaged one, is
/// over 4 GiB, or has a dtype without a picture.
pub fn read_npy(path: impl AsRef<Path>) -> Result<HostTensor> {
    read(TensorFile::open(path.as_ref())?)
}

/// The array in the bytes of a `.npy` file, as [`read_npy`] reads it.
///
/// ```
/// use wandb_image::decode::npy_from_bytes;
///
/// let error = npy_from_bytes(b"PK\x03\x04 and so on, a zip").unwrap_err();
/// assert!(error.to_string().contains("does not begin as a .npy file does"));
/// ```
///
/// # Errors
///
/// [`Error::TensorFile`](crate::Error::TensorFile), as for [`read_npy`].
pub fn npy_from_bytes(bytes: &[u8]) -> Result<HostTensor> {
    read(TensorFile::in_memory(bytes))
}

fn read<F: Read + Seek>(mut file: TensorFile<F>) -> Result<HostTensor> {
    let data_offset = data_offset(&mut file)?;
    file.check_size(file.len() - data_offset)?;
    let preamble = file.read(0, data_offset)?;
    let header = parse(&preamble).map_err(|reason| file.refuse(reason))?;
    let array = Array::of(&header).map_err(|reason| file.refuse(reason))?;
    let given = file.len() - data_offset;
    array
        .check_len(given)
        .map_err(|reason| file.refuse(reason))?;
    let bytes = file.read(data_offset, given)?;
    array.tensor(&bytes).map_err(|reason| file.refuse(reason))?
}

/// Where the elements begin: the header's length stands in the first bytes.
fn data_offset<F: Read + Seek>(file: &mut TensorFile<F>) -> Result<u64> {
    if file.len() < 12 {
        return Err(file.refuse(NOT_NPY));
    }
    let start = file.read(0, 12)?;
    if !start.starts_with(b"\x93NUMPY") {
        return Err(file.refuse(NOT_NPY));
    }
    let (before, header) = match start[6] {
        1 => (10, u64::from(u16::from_le_bytes([start[8], start[9]]))),
        2 | 3 => {
            let len = u32::from_le_bytes([start[8], start[9], start[10], start[11]]);
            (12, u64::from(len))
        }
        version => {
            return Err(file.refuse(format!(
                "it is of .npy format {version}, but 1 to 3 are known: save it with NumPy again"
            )));
        }
    };
    if header > MAX_HEADER_BYTES || before + header > file.len() {
        return Err(file.refuse(format!(
            "its header claims {header} bytes, but the file has {} and {MAX_HEADER_BYTES} are \
             allowed: it is damaged",
            file.len(),
        )));
    }
    Ok(before + header)
}

const NOT_NPY: &str = "it does not begin as a .npy file does: save the array with numpy.save";

fn parse(preamble: &[u8]) -> Result<NpyHeader, String> {
    let before = if preamble[6] == 1 { 10 } else { 12 };
    check_header(&preamble[before..])?;
    NpyHeader::from_reader(preamble).map_err(|e| format!("its header is damaged: {e}"))
}

/// Holds back from npyz what makes it overflow: deep nesting, and shapes whose product is more
/// than 64 bits. What NumPy writes passes.
fn check_header(text: &[u8]) -> Result<(), String> {
    let odd = || "its header is not as NumPy writes it: it is damaged".to_string();
    let mut pieces = text.split(|&byte| byte == b'\'');
    let mut depth = 0_usize;
    let mut elements = 1_u64;
    while let Some(code) = pieces.next() {
        if !code.iter().all(|&byte| is_plain(byte)) {
            return Err(odd());
        }
        for &byte in code {
            match byte {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > MAX_DEPTH {
                return Err(odd());
            }
        }
        for word in code.split(|byte| !byte.is_ascii_alphanumeric()) {
            if word.first().is_some_and(u8::is_ascii_digit) {
                elements = times(elements, word)?;
            }
        }
        match pieces.next() {
            None => return Ok(()),
            Some(quoted) if quoted.is_empty() || quoted.contains(&b'\\') => return Err(odd()),
            Some(_) => {}
        }
    }
    // The text ended inside a quotation.
    Err(odd())
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" \n{}()[],:".contains(&byte)
}

fn times(elements: u64, dim: &[u8]) -> Result<u64, String> {
    let dim = String::from_utf8_lossy(dim);
    let product = dim
        .parse::<u64>()
        .ok()
        .and_then(|dim| elements.checked_mul(dim.max(1)));
    product.ok_or_else(|| {
        "its shape claims more elements than there can be: the header is damaged".into()
    })
}

/// What the header says of the elements.
struct Array {
    shape: Vec<usize>,
    kind: (TypeChar, u64),
    byte_order: ByteOrder,
    order: Order,
}

impl Array {
    fn of(header: &NpyHeader) -> Result<Self, String> {
        let dtype = header.dtype();
        let npyz::DType::Plain(dtype) = dtype else {
            return Err(no_picture(&dtype.descr()));
        };
        if !is_number(&dtype) {
            return Err(no_picture(&dtype.to_string()));
        }
        let dims = header.shape().iter().map(|&dim| usize::try_from(dim));
        let shape = dims
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| "its shape is too large for this machine".to_string())?;
        Ok(Self {
            shape,
            kind: (dtype.type_char(), dtype.size_field()),
            byte_order: match dtype.endianness() {
                Endianness::Big => ByteOrder::Big,
                Endianness::Little | Endianness::Irrelevant => ByteOrder::Little,
            },
            order: header.order(),
        })
    }

    fn check_len(&self, given: u64) -> Result<(), String> {
        let size = self.kind.1;
        let expected = self.shape.iter().try_fold(size, |product, &dim| {
            product.checked_mul(dim.try_into().ok()?)
        });
        if expected == Some(given) {
            return Ok(());
        }
        let claimed = expected.map_or("too many".into(), |n| n.to_string());
        Err(format!(
            "its shape {:?} of {size} bytes each is {claimed} bytes, but {given} follow its \
             header: it is damaged, cut short, or holds more than one array",
            self.shape,
        ))
    }

    /// The outer result is about the file's bytes, the inner one about the tensor.
    fn tensor(self, bytes: &[u8]) -> Result<Result<HostTensor>, String> {
        Ok(match self.kind {
            (TypeChar::Bool, _) => self.ordered(booleans(bytes)?),
            (TypeChar::Uint, 1) => self.ordered(bytes.to_vec()),
            (TypeChar::Uint, 2) => self.numbers(bytes, u16::from_le_bytes),
            (TypeChar::Uint, 4) => self.numbers(bytes, u32::from_le_bytes),
            (TypeChar::Uint, 8) => self.numbers(bytes, u64::from_le_bytes),
            (TypeChar::Int, 1) => self.numbers(bytes, i8::from_le_bytes),
            (TypeChar::Int, 2) => self.numbers(bytes, i16::from_le_bytes),
            (TypeChar::Int, 4) => self.numbers(bytes, i32::from_le_bytes),
            (TypeChar::Int, 8) => self.numbers(bytes, i64::from_le_bytes),
            (TypeChar::Float, 2) => self.numbers(bytes, f16::from_le_bytes),
            (TypeChar::Float, 4) => self.numbers(bytes, f32::from_le_bytes),
            (TypeChar::Float, 8) => self.numbers(bytes, f64::from_le_bytes),
            (other, size) => return Err(no_picture(&format!("{}{size}", other.to_str()))),
        })
    }

    fn numbers<T: Element, const N: usize>(
        self,
        bytes: &[u8],
        from_le_bytes: fn([u8; N]) -> T,
    ) -> Result<HostTensor> {
        let values = numbers(bytes, self.byte_order, from_le_bytes);
        self.ordered(values)
    }

    fn ordered<T: Element>(self, values: Vec<T>) -> Result<HostTensor> {
        let values = match self.order {
            Order::C => values,
            Order::Fortran => row_major(&values, &self.shape),
        };
        HostTensor::new(self.shape, values)
    }
}

fn is_number(dtype: &TypeStr) -> bool {
    let kind = dtype.type_char();
    let float = kind == TypeChar::Float && dtype.size_field() <= 8;
    float || matches!(kind, TypeChar::Bool | TypeChar::Int | TypeChar::Uint)
}

fn no_picture(dtype: &str) -> String {
    format!(
        "its dtype {dtype} has no picture: convert the array to bool, an integer type, float16, \
         float32 or float64 before it is saved"
    )
}

/// Values in Fortran order (the first dimension moves fastest), in row-major order.
fn row_major<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    let mut strides = vec![1_usize; shape.len()];
    for d in 1..shape.len() {
        strides[d] = strides[d - 1] * shape[d - 1];
    }
    let mut index = vec![0_usize; shape.len()];
    let mut offset = 0;
    let mut ordered = Vec::with_capacity(values.len());
    while ordered.len() < values.len() {
        ordered.push(values[offset]);
        for d in (0..shape.len()).rev() {
            index[d] += 1;
            offset += strides[d];
            if index[d] < shape[d] {
                break;
            }
            offset -= index[d] * strides[d];
            index[d] = 0;
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn array(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let header =
            format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n");
        file(&header, data)
    }

    fn read_bytes(bytes: &[u8]) -> Result<HostTensor> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("array.npy");
        std::fs::write(&path, bytes).unwrap();
        read_npy(path)
    }

    fn check<T: Element>(bytes: &[u8], shape: &[usize], expected: Vec<T>) {
        let read = read_bytes(bytes).unwrap();
        assert_eq!(read, HostTensor::new(shape, expected).unwrap());
    }

    #[test]
    fn every_dtype_is_read_in_both_byte_orders() {
        check(
            &array("'|b1'", false, "(2,)", &[0, 1]),
            &[2],
            vec![false, true],
        );
        check(
            &array("'|u1'", false, "(2,)", &[7, 255]),
            &[2],
            vec![7_u8, 255],
        );
        check(
            &array("'|i1'", false, "(2,)", &[7, 255]),
            &[2],
            vec![7_i8, -1],
        );
        check(
            &array("'<u2'", false, "(1,)", &[1, 2]),
            &[1],
            vec![0x0201_u16],
        );
        check(
            &array("'>u2'", false, "(1,)", &[1, 2]),
            &[1],
            vec![0x0102_u16],
        );
        check(
            &array("'>i2'", false, "(1,)", &(-3_i16).to_be_bytes()),
            &[1],
            vec![-3_i16],
        );
        check(
            &array("'<u4'", false, "(1,)", &9_u32.to_le_bytes()),
            &[1],
            vec![9_u32],
        );
        check(
            &array("'>i4'", false, "(1,)", &(-9_i32).to_be_bytes()),
            &[1],
            vec![-9_i32],
        );
        check(
            &array("'<u8'", false, "(1,)", &9_u64.to_le_bytes()),
            &[1],
            vec![9_u64],
        );
        check(
            &array("'>i8'", false, "(1,)", &(-9_i64).to_be_bytes()),
            &[1],
            vec![-9_i64],
        );
        let half = f16::from_f32(1.5);
        check(
            &array("'<f2'", false, "(1,)", &half.to_le_bytes()),
            &[1],
            vec![half],
        );
        check(
            &array("'>f4'", false, "(1,)", &1.5_f32.to_be_bytes()),
            &[1],
            vec![1.5_f32],
        );
        check(
            &array("'<f8'", false, "()", &1.5_f64.to_le_bytes()),
            &[],
            vec![1.5_f64],
        );
    }

    #[test]
    fn fortran_order_becomes_row_major() {
        let columns = [1, 4, 2, 5, 3, 6];
        check(
            &array("'|u1'", true, "(2, 3)", &columns),
            &[2, 3],
            vec![1_u8, 2, 3, 4, 5, 6],
        );
        let deep = [0, 4, 2, 6, 1, 5, 3, 7];
        check(
            &array("'|u1'", true, "(2, 2, 2)", &deep),
            &[2, 2, 2],
            (0..8_u8).collect(),
        );
        check(
            &array("'|u1'", true, "(2, 0)", &[]),
            &[2, 0],
            Vec::<u8>::new(),
        );
    }

    fn refused(bytes: &[u8], expected: &str) {
        let error = read_bytes(bytes).unwrap_err();
        let Error::TensorFile { path, reason } = &error else {
            panic!("{error:?}");
        };
        assert!(path.ends_with("array.npy"));
        assert!(reason.contains(expected), "{reason}");
    }

    #[test]
    fn what_is_no_npy_file_is_refused() {
        let whole = array("'<f4'", false, "(1, 2)", &[0; 8]);
        refused(b"", "does not begin as a .npy file");
        refused(b"\x93NUMPY\x01\x00", "does not begin as a .npy file");
        refused(&[0; 100], "does not begin as a .npy file");
        refused(b"\x93NUMPY\x09\x00\x00\x00\x00\x00\x00", "format 9");
        refused(
            b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}",
            "claims 4294967295 bytes",
        );
        refused(&whole[..40], "its header claims");
        refused(&whole[..whole.len() - 3], "is 8 bytes, but 5 follow");
        refused(&[&whole[..], b"more"].concat(), "is 8 bytes, but 12 follow");
        refused(&file("{'descr': '<f4'}", &[]), "missing key");
        refused(&file("[1, 2]", &[]), "dict");
        refused(&file("{'descr", &[]), "not as NumPy writes it");
        refused(&file(&"(".repeat(60_000), &[]), "not as NumPy writes it");
        refused(&file("{'a': \"\"\"(\"\"\"}", &[]), "not as NumPy writes it");
        refused(
            &array("'<f4'", false, "(-1, 2)", &[]),
            "not as NumPy writes it",
        );
        refused(
            &array("'<f4'", false, "(0x1_0, 2)", &[]),
            "not as NumPy writes it",
        );
        let huge = "(4294967296, 4294967296, 0)";
        refused(
            &array("'<f4'", false, huge, &[]),
            "more elements than there can be",
        );
        let huge = "(99999999999999999999999,)";
        refused(
            &array("'<f4'", false, huge, &[]),
            "more elements than there can be",
        );
        let large = "(4294967295, 4294967295)";
        refused(
            &array("'<f4'", false, large, &[]),
            "too many bytes, but 0 follow",
        );
        refused(&array("'|b1'", false, "(2,)", &[1, 2]), "element 1 is 2");
    }

    #[test]
    fn a_dtype_without_a_picture_is_named() {
        refused(
            &array("'<c8'", false, "(1,)", &[0; 8]),
            "its dtype <c8 has no picture",
        );
        refused(
            &array("'<f16'", false, "(1,)", &[0; 16]),
            "its dtype <f16 has no picture",
        );
        refused(
            &array("'<M8[s]'", false, "(1,)", &[0; 8]),
            "its dtype <M8[s] has no picture",
        );
        refused(
            &array("'|S3'", false, "(1,)", &[0; 3]),
            "its dtype |S3 has no picture",
        );
        refused(
            &array("[('a', '<f4')]", false, "(1,)", &[0; 4]),
            "has no picture",
        );
        refused(
            &array("'|O'", false, "(1,)", &[0; 8]),
            "its header is damaged",
        );
    }
}
