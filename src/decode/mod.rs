//! From files to pixels, with limits on what a file may claim.

mod picture;

pub(crate) use picture::{PictureFile, pixels_from_dynamic};
