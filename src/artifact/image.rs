//! Where the files of an image stand in an artifact: as the Python SDK lays them out.

use super::draft::Files;
use crate::error::Result;
use crate::image::MEDIA_SUBDIR;
use crate::image::artifact::{ArtifactImage, ArtifactPicture};
use crate::image::json::artifact::{self as json, Placed, PlacedClasses};
use crate::sink::{Md5, sha256};
use crate::value::Json;

/// The digits of a hash in a path.
const DIGITS: usize = 20;

/// Keeps the files of an image, and returns the JSON that names them.
pub(crate) fn place(files: &Files, image: &ArtifactImage) -> Result<Json> {
    let picture = place_picture(files, image)?;
    let masks = image.layers.masks.iter();
    let masks: Vec<Placed> = masks
        .map(|(_, bytes)| place_mask(files, bytes))
        .collect::<Result<_>>()?;
    let classes = place_classes(files, image)?;
    Ok(json::image(image, &picture, &masks, classes.as_ref()))
}

fn place_picture(files: &Files, image: &ArtifactImage) -> Result<Placed> {
    match &image.picture {
        ArtifactPicture::File { name, bytes } => {
            let sha256 = sha256(bytes);
            let path = format!("{MEDIA_SUBDIR}/{}/{name}", beginning(&sha256));
            files.add(&path, bytes)?;
            Ok(Placed { path, sha256 })
        }
        ArtifactPicture::Made(bytes) => {
            let md5 = Md5::of(bytes);
            let path = format!("{MEDIA_SUBDIR}/{}.{}", beginning(&md5.hex()), image.format);
            files.add_hashed(&path, bytes, md5)?;
            let sha256 = sha256(bytes);
            Ok(Placed { path, sha256 })
        }
        ArtifactPicture::Reference(uri) => {
            let sha256 = sha256(uri.as_bytes());
            let name = uri.rsplit('/').next().unwrap_or_default();
            let path = format!("{MEDIA_SUBDIR}/{}/{name}", beginning(&sha256));
            files.refer(&path, uri)?;
            Ok(Placed { path, sha256 })
        }
    }
}

fn place_mask(files: &Files, bytes: &[u8]) -> Result<Placed> {
    let (folder, extension) = json::mask_place();
    let md5 = Md5::of(bytes);
    let path = format!("{folder}/{}.{extension}", beginning(&md5.hex()));
    files.add_hashed(&path, bytes, md5)?;
    let sha256 = sha256(bytes);
    Ok(Placed { path, sha256 })
}

fn place_classes(files: &Files, image: &ArtifactImage) -> Result<Option<PlacedClasses>> {
    if !image.layers.have_classes() {
        return Ok(None);
    }
    let (path, json) = json::classes(&image.layers.classes, |shown| Md5::of(shown).hex());
    let digest = files.add(&path, json.to_python_text().as_bytes())?;
    let digest = digest.base64();
    Ok(Some(PlacedClasses { path, digest }))
}

fn beginning(hash: &str) -> &str {
    hash.get(..DIGITS).unwrap_or(hash)
}
