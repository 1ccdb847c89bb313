//! From files to pixels and tensors, with limits on what a file may claim.

mod ids;
mod jpeg;
#[cfg(feature = "cli")]
mod npy;
mod picture;
mod png;
#[cfg(feature = "cli")]
mod safetensors;
#[cfg(feature = "cli")]
mod tensor_file;

pub(crate) use self::png::png_size;
pub(crate) use ids::{ids_from_bytes, ids_from_png};
#[cfg(feature = "cli")]
pub use npy::{npy_from_bytes, read_npy};
pub(crate) use picture::{MAX_FILE_BYTES, PictureFile, pixels_from_dynamic};
#[cfg(feature = "cli")]
pub use safetensors::{read_safetensors, safetensors_from_bytes};
