//! An image of an artifact, read back.

use std::path::Path;

use serde_json::Value;

use super::OpenArtifact;
use crate::decode::{self, MAX_FILE_BYTES, PictureFile};
use crate::error::{Error, Result};
use crate::image::boxes::BoundingBoxes2D;
use crate::image::classes::Classes;
use crate::image::json::reading::{self, Named};
use crate::image::left_out::{Kind, LeftOut};
use crate::image::mask::ImageMask;
use crate::image::{Image, LayerKind, of_layer};

impl Image {
    /// The image of which an artifact holds this JSON, in `<name>.image-file.json` or in a cell of
    /// a table, with its caption, grouping, classes, boxes and masks.
    /// [`OpenArtifact::get`] reads the JSON too.
    ///
    /// The bytes of the picture, and its name, stay as they are, also when the image is added to
    /// another artifact. The JSON of an artifact has no place for the names that a layer brought of
    /// its own: they are among the [classes](Image::class_set) of the image.
    ///
    /// A box that can't be drawn or has no class, a score that is no number, a mask of another size or
    /// kind, a class whose id is no number and a grouping that is none are left out:
    /// [`Image::left_out`] says so. A caption that is no text is the JSON of what it is.
    ///
    /// # Errors
    ///
    /// [`Error::ArtifactJson`] for JSON that is none of an image; [`Error::ArtifactPath`] for a path
    /// that leads out of the folder, and [`Error::ArtifactFile`] for a file that is missing or has
    /// another hash than the JSON says: of a mask these two are the source of an [`Error::Layer`],
    /// which names the mask. [`Error::Picture`] for a picture that is no PNG, JPEG or BMP.
    ///
    /// ```
    /// use wandb_image::{Artifact, Image};
    /// # let dir = tempfile::tempdir()?;
    /// # image::GrayImage::new(3, 2).save(dir.path().join("zero.png"))?;
    ///
    /// let digits = Artifact::open(dir.path())?;
    /// let json = serde_json::json!({
    ///     "_type": "image-file",
    ///     "path": "zero.png",
    ///     "boxes": { "truth": [{
    ///         "class_id": 1,
    ///         "position": { "minX": 0.0, "minY": 0.0, "maxX": 0.5, "maxY": 1.0 },
    ///     }] },
    /// });
    /// let zero = Image::from_json(&json, &digits)?;
    /// assert_eq!((zero.width(), zero.height()), (3, 2));
    /// assert_eq!(zero.box_layers()["truth"].boxes_in(3, 2)?[0].class_id(), 1);
    ///
    /// let json = serde_json::json!({ "_type": "image-file", "path": "../zero.png" });
    /// let error = Image::from_json(&json, &digits).unwrap_err();
    /// assert!(error.to_string().contains("`..`"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_json(json: &Value, artifact: &OpenArtifact) -> Result<Self> {
        let read = reading::image(json).map_err(|reason| Error::ArtifactJson { reason })?;
        let mut left_out = read.left_out;
        let mut image = picture(&read.picture, artifact)?;
        image = read.caption.into_iter().fold(image, Image::caption);
        image = read.grouping.into_iter().fold(image, Image::grouping);
        if let Some(named) = &read.classes {
            let classes = classes(named, artifact, &mut left_out)?;
            // An image whose layers are empty names a file of none.
            image = match classes.is_empty() {
                true => image,
                false => image.classes(classes),
            };
        }
        for (key, boxes) in read.boxes {
            if let Err(error) = image.add_boxes(key.clone(), BoundingBoxes2D::new(boxes)) {
                left_out.add(Kind::Boxes, &key, misfit(error)?);
            }
        }
        check_masks(read.masks.len(), &image)?;
        for (key, named) in read.masks {
            let mask = mask(&named, &image, artifact);
            if let Err(error) = mask.and_then(|mask| image.add_mask(key.clone(), mask)) {
                let reason = misfit(error);
                let reason = reason.map_err(|error| of_layer(LayerKind::Mask, &key, error))?;
                left_out.add(Kind::Mask, &key, reason);
            }
        }
        Ok(image.lacking(left_out))
    }
}

/// Why a layer doesn't lie over the picture; any other failure is that of a file.
fn misfit(error: Error) -> Result<String> {
    match error {
        Error::Layer { source, .. } => Ok(source.to_string()),
        error @ (Error::MaskSize { .. } | Error::MaskFile { .. }) => Ok(error.to_string()),
        other => Err(other),
    }
}

fn picture(named: &Named, artifact: &OpenArtifact) -> Result<Image> {
    let bytes = artifact.hashed(&named.path, named.hash.as_deref(), MAX_FILE_BYTES)?;
    PictureFile::named(Path::new(&named.path), bytes).map(Image::from_file)
}

fn classes(named: &Named, artifact: &OpenArtifact, left_out: &mut LeftOut) -> Result<Classes> {
    let text = artifact.digested(&named.path, named.hash.as_deref())?;
    let read = reading::classes(&text);
    let (classes, unnamed) = read.map_err(|reason| artifact.unreadable(&named.path, reason))?;
    left_out.add_all(Kind::Class, "", unnamed);
    Ok(classes)
}

/// The most memory that the masks over a picture take, in bytes: as much as a picture does.
const MAX_MASKS: u64 = 1 << 30;

fn check_masks(masks: usize, image: &Image) -> Result<()> {
    let pixels = u64::from(image.width()) * u64::from(image.height());
    match pixels.saturating_mul(masks as u64) {
        ..=MAX_MASKS => Ok(()),
        _ => Err(Error::ArtifactJson {
            reason: format!(
                "its {masks} masks of {}×{} pixels take over 1 GiB, which is more than is read",
                image.width(),
                image.height()
            ),
        }),
    }
}

/// A mask of the picture's size: one that claims another isn't decoded.
fn mask(named: &Named, image: &Image, artifact: &OpenArtifact) -> Result<ImageMask> {
    let bytes = artifact.hashed(&named.path, named.hash.as_deref(), MAX_FILE_BYTES)?;
    let picture = (image.width(), image.height());
    if let Some(mask) = decode::png_size(&bytes).filter(|&mask| mask != picture) {
        return Err(Error::MaskSize { mask, picture });
    }
    ImageMask::from_bytes(&bytes).map_err(|error| match error {
        Error::MaskFile { reason, .. } => Error::MaskFile {
            path: (&named.path).into(),
            reason,
        },
        other => other,
    })
}
