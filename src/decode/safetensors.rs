//! `.safetensors` files.

use std::io::{Read, Seek};
use std::path::Path;

use ::safetensors::Dtype;
use ::safetensors::tensor::{Metadata, TensorInfo};
use half::{bf16, f16};

use super::tensor_file::{ByteOrder, TensorFile, booleans, numbers};
use crate::error::Result;
use crate::tensor::{Element, HostTensor};

/// The greatest header that is read: the format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// How many names an error lists.
const LISTED_NAMES: usize = 20;

/// Tensors of a `.safetensors` file, each with its name: those of `names`, in that order, or all
/// by name where none is given. Only their bytes are read.
///
/// | dtype in the file | read as |
/// | --- | --- |
/// | `BOOL`, `U8` to `U64`, `I8` to `I64` | the same |
/// | `F16`, `BF16`, `F32`, `F64` | the same |
/// | `F8_E4M3`, `F8_E5M2` | `F32`, which holds each of their values |
/// | `F4`, `F6_*`, `F8_E8M0`, `C64` | refused |
///
/// ```
/// use wandb_image::decode::read_safetensors;
/// # use safetensors::{Dtype, serialize_to_file, tensor::TensorView};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("batch.safetensors");
/// # let view = TensorView::new(Dtype::U8, vec![1, 2], &[3, 4])?;
/// # serialize_to_file([("input", view)], None, &path)?;
///
/// let tensors = read_safetensors(&path, &["input"])?;
/// let (name, tensor) = &tensors[0];
/// assert_eq!((name.as_str(), tensor.shape()), ("input", &[1, 2][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::Io`](crate::Error::Io) when the file can't be read,
/// [`Error::TensorFile`](crate::Error::TensorFile) when it is no `.safetensors` file or a damaged
/// one, has no tensor of a name (the error lists those there are), when the tensors take over
/// 4 GiB as they are read, or one has a dtype without a picture.
pub fn read_safetensors(
    path: impl AsRef<Path>,
    names: &[impl AsRef<str>],
) -> Result<Vec<(String, HostTensor)>> {
    read(TensorFile::open(path.as_ref())?, names)
}

/// Tensors in the bytes of a `.safetensors` file, as [`read_safetensors`] reads them.
///
/// ```
/// use wandb_image::decode::safetensors_from_bytes;
/// # use safetensors::{Dtype, serialize, tensor::TensorView};
/// # let view = TensorView::new(Dtype::U8, vec![1, 2], &[3, 4])?;
/// # let bytes = serialize([("input", view)], None)?;
///
/// let tensors = safetensors_from_bytes(&bytes, &["input"])?;
/// assert_eq!(tensors[0].1.shape(), [1, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::TensorFile`](crate::Error::TensorFile), as for [`read_safetensors`].
pub fn safetensors_from_bytes(
    bytes: &[u8],
    names: &[impl AsRef<str>],
) -> Result<Vec<(String, HostTensor)>> {
    read(TensorFile::in_memory(bytes), names)
}

fn read<F: Read + Seek>(
    mut file: TensorFile<F>,
    names: &[impl AsRef<str>],
) -> Result<Vec<(String, HostTensor)>> {
    let (metadata, data_offset) = read_metadata(&mut file)?;
    let infos = select(&metadata, names).map_err(|reason| file.refuse(reason))?;
    let bytes = infos
        .iter()
        .fold(0_u64, |sum, (_, info)| sum.saturating_add(host_len(info)));
    file.check_size(bytes)?;
    let mut tensors = Vec::with_capacity(infos.len());
    for (name, info) in infos {
        let (offset, len) = byte_range(info);
        let bytes = file.read(data_offset + offset, len)?;
        let tensor = tensor(info, &bytes)
            .map_err(|reason| file.refuse(format!("the tensor {name:?}: {reason}")))?;
        tensors.push((name, tensor?));
    }
    Ok(tensors)
}

/// What the header says, and where the elements begin. The offsets it holds are checked: they
/// follow each other without a gap, fit their shapes, and end with the file.
fn read_metadata<F: Read + Seek>(file: &mut TensorFile<F>) -> Result<(Metadata, u64)> {
    const NOT_SAFETENSORS: &str = "it does not begin as a .safetensors file does";
    let Some(after_len) = file.len().checked_sub(8) else {
        return Err(file.refuse(NOT_SAFETENSORS));
    };
    let len = numbers(&file.read(0, 8)?, ByteOrder::Little, u64::from_le_bytes)[0];
    if len > after_len.min(MAX_HEADER_BYTES) {
        return Err(file.refuse(format!(
            "its header claims {len} bytes, but the file has {} and {MAX_HEADER_BYTES} are \
             allowed: it is cut short, or no .safetensors file",
            file.len()
        )));
    }
    let header = file.read(8, len)?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|e| file.refuse(format!("its header is damaged: {e}")))?;
    let (claimed, given) = (metadata.data_len() as u64, after_len - len);
    if claimed != given {
        return Err(file.refuse(format!(
            "its tensors claim {claimed} bytes, but {given} follow its header: it is damaged or \
             cut short; copy it again"
        )));
    }
    Ok((metadata, 8 + len))
}

fn select<'a>(
    metadata: &'a Metadata,
    names: &[impl AsRef<str>],
) -> Result<Vec<(String, &'a TensorInfo)>, String> {
    let mut there = metadata.offset_keys();
    there.sort();
    if there.is_empty() {
        return Err("it holds no tensor".into());
    }
    let wanted = match names {
        [] => there.clone(),
        names => names.iter().map(|name| name.as_ref().into()).collect(),
    };
    let info = |name: String| match metadata.info(&name) {
        Some(info) => Ok((name, info)),
        None => Err(format!(
            "it has no tensor {name:?}; it holds {}",
            list(&there)
        )),
    };
    wanted.into_iter().map(info).collect()
}

fn list(names: &[String]) -> String {
    let listed = names
        .iter()
        .take(LISTED_NAMES)
        .map(|name| format!("{name:?}"));
    let mut list = listed.collect::<Vec<_>>().join(", ");
    if names.len() > LISTED_NAMES {
        list += &format!(" and {} more", names.len() - LISTED_NAMES);
    }
    list
}

/// Offset into the data, and length, in bytes.
fn byte_range(info: &TensorInfo) -> (u64, u64) {
    let (start, end) = info.data_offsets;
    (start as u64, end.saturating_sub(start) as u64)
}

/// The bytes that it takes once it is read: 8-bit floats become four times as long.
fn host_len(info: &TensorInfo) -> u64 {
    let (_, len) = byte_range(info);
    match info.dtype {
        Dtype::F8_E4M3 | Dtype::F8_E5M2 => len.saturating_mul(4),
        _ => len,
    }
}

/// The outer result is about the file's bytes, the inner one about the tensor.
fn tensor(info: &TensorInfo, bytes: &[u8]) -> Result<Result<HostTensor>, String> {
    let shape = info.shape.clone();
    Ok(match info.dtype {
        Dtype::BOOL => HostTensor::new(shape, booleans(bytes)?),
        Dtype::U8 => HostTensor::new(shape, bytes.to_vec()),
        Dtype::I8 => from_bytes(shape, bytes, i8::from_le_bytes),
        Dtype::U16 => from_bytes(shape, bytes, u16::from_le_bytes),
        Dtype::I16 => from_bytes(shape, bytes, i16::from_le_bytes),
        Dtype::U32 => from_bytes(shape, bytes, u32::from_le_bytes),
        Dtype::I32 => from_bytes(shape, bytes, i32::from_le_bytes),
        Dtype::U64 => from_bytes(shape, bytes, u64::from_le_bytes),
        Dtype::I64 => from_bytes(shape, bytes, i64::from_le_bytes),
        Dtype::F16 => from_bytes(shape, bytes, f16::from_le_bytes),
        Dtype::BF16 => from_bytes(shape, bytes, bf16::from_le_bytes),
        Dtype::F32 => from_bytes(shape, bytes, f32::from_le_bytes),
        Dtype::F64 => from_bytes(shape, bytes, f64::from_le_bytes),
        Dtype::F8_E4M3 => from_bytes(shape, bytes, |[byte]| f32_from_e4m3(byte)),
        Dtype::F8_E5M2 => from_bytes(shape, bytes, |[byte]| f32_from_e5m2(byte)),
        dtype => {
            return Err(format!(
                "its dtype {dtype} has no picture: convert it to F32 before it is saved, or \
                 select other tensors"
            ));
        }
    })
}

fn from_bytes<T: Element, const N: usize>(
    shape: Vec<usize>,
    bytes: &[u8],
    from_le_bytes: fn([u8; N]) -> T,
) -> Result<HostTensor> {
    HostTensor::new(shape, numbers(bytes, ByteOrder::Little, from_le_bytes))
}

/// OCP's E4M3, torch's `float8_e4m3fn`: no infinities, one NaN.
fn f32_from_e4m3(byte: u8) -> f32 {
    let exponent = i32::from(byte >> 3 & 0xF);
    let mantissa = f32::from(byte & 7) / 8.0;
    let magnitude = match (exponent, byte & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa * 2_f32.powi(-6),
        _ => (1.0 + mantissa) * 2_f32.powi(exponent - 7),
    };
    if byte & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// OCP's E5M2: the upper half of a half.
fn f32_from_e5m2(byte: u8) -> f32 {
    f16::from_bits(u16::from(byte) << 8).to_f32()
}

#[cfg(test)]
mod tests {
    use ::safetensors::serialize;
    use ::safetensors::tensor::TensorView;

    use super::*;
    use crate::error::Error;

    fn read_bytes(bytes: &[u8], names: &[&str]) -> Result<Vec<(String, HostTensor)>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        std::fs::write(&path, bytes).unwrap();
        read_safetensors(path, names)
    }

    fn file(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
        let views = tensors.iter().map(|&(name, dtype, shape, data)| {
            (name, TensorView::new(dtype, shape.to_vec(), data).unwrap())
        });
        serialize(views, None).unwrap()
    }

    fn check<T: Element>(dtype: Dtype, bytes: &[u8], expected: Vec<T>) {
        let shape = [1, expected.len()];
        let tensors = read_bytes(&file(&[("x", dtype, &shape, bytes)]), &[]).unwrap();
        let expected = HostTensor::new(shape, expected).unwrap();
        assert_eq!(tensors, [("x".to_string(), expected)], "{dtype}");
    }

    #[test]
    fn every_dtype_is_read() {
        check(Dtype::BOOL, &[1, 0], vec![true, false]);
        check(Dtype::U8, &[1, 255], vec![1_u8, 255]);
        check(Dtype::I8, &[1, 255], vec![1_i8, -1]);
        check(Dtype::U16, &[1, 2], vec![0x0201_u16]);
        check(Dtype::I16, &(-2_i16).to_le_bytes(), vec![-2_i16]);
        check(Dtype::U32, &7_u32.to_le_bytes(), vec![7_u32]);
        check(Dtype::I32, &(-7_i32).to_le_bytes(), vec![-7_i32]);
        check(Dtype::U64, &7_u64.to_le_bytes(), vec![7_u64]);
        check(Dtype::I64, &(-7_i64).to_le_bytes(), vec![-7_i64]);
        check(Dtype::F16, &[0, 0x3E], vec![f16::from_f32(1.5)]);
        check(Dtype::BF16, &[0xC0, 0x3F], vec![bf16::from_f32(1.5)]);
        check(Dtype::F32, &1.5_f32.to_le_bytes(), vec![1.5_f32]);
        check(Dtype::F64, &1.5_f64.to_le_bytes(), vec![1.5_f64]);
    }

    #[test]
    fn eight_bit_floats_keep_their_values() {
        // ml_dtypes: 0x38 is 1, 0x7E the greatest (448), 0x01 the least (2⁻⁹), 0xBC is −1.5.
        let expected = vec![1.0_f32, 448.0, 0.001_953_125, -1.5, 0.0];
        check(Dtype::F8_E4M3, &[0x38, 0x7E, 0x01, 0xBC, 0x00], expected);
        let expected = vec![1.0_f32, 57_344.0, 2_f32.powi(-16), -1.5, f32::INFINITY];
        check(Dtype::F8_E5M2, &[0x3C, 0x7B, 0x01, 0xBE, 0x7C], expected);
        assert!(f32_from_e4m3(0x7F).is_nan() && f32_from_e4m3(0xFF).is_nan());
    }

    #[test]
    fn tensors_come_by_name_or_as_asked_for() {
        let bytes = file(&[
            ("b", Dtype::F32, &[1], &[0; 4]),
            ("a", Dtype::U8, &[1], &[1]),
            ("c", Dtype::U8, &[1], &[2]),
        ]);
        let names = |asked: &[&str]| -> Vec<String> {
            let tensors = read_bytes(&bytes, asked).unwrap();
            tensors.into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names(&[]), ["a", "b", "c"]);
        assert_eq!(names(&["c", "a"]), ["c", "a"]);
    }

    fn refused(bytes: &[u8], names: &[&str], expected: &str) {
        let error = read_bytes(bytes, names).unwrap_err();
        let Error::TensorFile { path, reason } = &error else {
            panic!("{error:?}");
        };
        assert!(path.ends_with("model.safetensors"));
        assert!(reason.contains(expected), "{reason}");
    }

    fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
        let len = header.len() as u64;
        [&len.to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    fn tensor_info(name: &str, dtype: &str, shape: &str, offsets: &str) -> String {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#)
    }

    #[test]
    fn what_is_no_safetensors_file_is_refused() {
        let whole = file(&[("x", Dtype::U8, &[2], &[1, 2])]);
        refused(b"", &[], "does not begin");
        refused(b"PK\x03\x04 and so on, a zip", &[], "its header claims");
        refused(&whole[..20], &[], "its header claims");
        refused(
            &whole[..whole.len() - 1],
            &[],
            "claim 2 bytes, but 1 follow",
        );
        refused(
            &[&whole[..], b"x"].concat(),
            &[],
            "claim 2 bytes, but 3 follow",
        );
        refused(&u64::MAX.to_le_bytes(), &[], "its header claims");
        refused(&with_header("{}", b""), &[], "it holds no tensor");
        refused(&with_header("{", b""), &[], "its header is damaged");
        refused(&with_header("\u{7f}", b""), &[], "its header is damaged");
        refused(
            &with_header(&"[".repeat(100_000), b""),
            &[],
            "its header is damaged",
        );
    }

    #[test]
    fn offsets_that_lie_are_refused() {
        let check = |infos: &[String], data: &[u8], expected| {
            let header = format!("{{{}}}", infos.join(","));
            refused(&with_header(&header, data), &[], expected);
        };
        let info = tensor_info;
        let overlap = [
            info("a", "U8", "[4]", "[0,4]"),
            info("b", "U8", "[4]", "[2,6]"),
        ];
        check(&overlap, &[0; 6], "its header is damaged");
        check(
            &[info("a", "U8", "[4]", "[4,0]")],
            &[0; 4],
            "its header is damaged",
        );
        check(
            &[info("a", "U8", "[9]", "[0,4]")],
            &[0; 4],
            "its header is damaged",
        );
        check(
            &[info("a", "U8", "[-1]", "[0,4]")],
            &[0; 4],
            "its header is damaged",
        );
        check(
            &[info("a", "Q8", "[4]", "[0,4]")],
            &[0; 4],
            "its header is damaged",
        );
        let huge = "[18446744073709551615,3]";
        check(
            &[info("a", "F32", huge, "[0,4]")],
            &[0; 4],
            "its header is damaged",
        );
        let claimed = info("a", "U8", "[1000000000000]", "[0,1000000000000]");
        check(
            &[claimed],
            &[0; 4],
            "claim 1000000000000 bytes, but 4 follow",
        );
        check(&[info("a", "BOOL", "[1]", "[0,1]")], &[9], "element 0 is 9");
        check(
            &[info("a", "C64", "[1]", "[0,8]")],
            &[0; 8],
            "its dtype C64 has no picture",
        );
        check(
            &[info("a", "F4", "[2]", "[0,1]")],
            &[0; 1],
            "its dtype F4 has no picture",
        );
    }

    #[test]
    fn a_missing_name_lists_those_there_are() {
        let bytes = file(&[("x", Dtype::U8, &[1], &[1]), ("y", Dtype::U8, &[1], &[1])]);
        refused(&bytes, &["z"], r#"no tensor "z"; it holds "x", "y""#);
    }

    #[test]
    fn more_than_the_limit_is_refused_before_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        let bytes = 5_u64 << 30;
        let info = tensor_info("a", "U8", &format!("[{bytes}]"), &format!("[0,{bytes}]"));
        let header = with_header(&format!("{{{info}}}"), b"");
        std::fs::write(&path, &header).unwrap();
        let sparse = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        sparse.set_len(header.len() as u64 + bytes).unwrap();
        let error = read_safetensors(&path, &[""; 0]).unwrap_err();
        assert!(error.to_string().contains("4 GiB"), "{error}");
    }
}
