//! What an image shows: to compare it, and as plain values.

use std::collections::BTreeMap;

use super::Image;
use super::boxes::BoundingBoxes2D;
use super::classes::Classes;
use super::mask::ImageMask;
use crate::error::Result;

/// Equal in everything that is shown: pixels, caption, grouping, masks and boxes as they lie over
/// the picture, and the names of their classes, whether they are the layer's own or the image's.
///
/// Pictures that aren't the same by their origin are made to be compared: tensors are read from
/// their device and files decoded. A picture that can't be made equals only its own clones.
impl PartialEq for Image {
    fn eq(&self, other: &Self) -> bool {
        self.caption == other.caption
            && self.shown_grouping() == other.shown_grouping()
            && (self.width(), self.height()) == (other.width(), other.height())
            && self
                .layers
                .show_those_of(self.frame(), &other.layers, other.frame())
            && self.shows_the_pixels_of(other)
    }
}

impl Image {
    fn shows_the_pixels_of(&self, other: &Self) -> bool {
        let is_same = self.source.is(&other.source)
            && self.mode() == other.mode()
            && self.frame() == other.frame();
        is_same || matches!((self.pixels(), other.pixels()), (Ok(one), Ok(other)) if one == other)
    }

    /// The values of the picture: rows of pixels of channels, 0 to 255, or 0 to 65,535 in mode
    /// `I;16`.
    ///
    /// ```
    /// use wandb_image::{Image, Mode, Pixels};
    ///
    /// let image = Image::from(Pixels::new(2, 1, Mode::Rgb, vec![255, 0, 0, 1, 2, 3])?);
    /// assert_eq!(image.to_data_array()?, [[[255, 0, 0], [1, 2, 3]]]);
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`pixels`](Self::pixels).
    pub fn to_data_array(&self) -> Result<Vec<Vec<Vec<u16>>>> {
        let pixels = self.pixels()?;
        let channels = pixels.mode().channels();
        let samples: Vec<u16> = pixels.samples().collect();
        let rows = samples.chunks(pixels.width() as usize * channels);
        Ok(rows
            .map(|row| row.chunks(channels).map(<[u16]>::to_vec).collect())
            .collect())
    }

    /// Where W&B keeps pictures, relative to a run's `files/`: `media/images`.
    #[doc(alias = "get_media_subdir")]
    pub fn media_subdir() -> &'static str {
        crate::image::MEDIA_SUBDIR
    }

    /// The captions of a list of images, None where one has none; None where no image has any.
    ///
    /// ```
    /// use wandb_image::{Image, Mode, Pixels};
    ///
    /// let image = Image::from(Pixels::new(1, 1, Mode::L, vec![7])?);
    /// let list = [image.clone(), image.caption("second")];
    /// assert_eq!(Image::all_captions(&list), Some(vec![None, Some("second")]));
    /// assert_eq!(Image::all_captions(&list[..1]), None);
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn all_captions(images: &[Image]) -> Option<Vec<Option<&str>>> {
        all(images, Image::caption_text)
    }

    /// The masks of each image of a list by their keys, None where one has none; None where no
    /// image has any.
    pub fn all_masks(images: &[Image]) -> Option<Vec<Option<&BTreeMap<String, ImageMask>>>> {
        all(images, |image| some(image.layers.masks()))
    }

    /// The boxes of each image of a list by their keys, None where one has none; None where no
    /// image has any.
    pub fn all_boxes(images: &[Image]) -> Option<Vec<Option<&BTreeMap<String, BoundingBoxes2D>>>> {
        all(images, |image| some(image.layers.boxes()))
    }

    /// The masks by their keys; empty where there are none.
    ///
    /// ```
    /// use wandb_image::{Image, ImageMask, Mode, Pixels};
    ///
    /// let mask = ImageMask::new(1, 1, vec![3])?;
    /// let image = Image::from(Pixels::new(1, 1, Mode::L, vec![7])?).masks("truth", mask.clone())?;
    /// assert_eq!(image.mask_layers()["truth"], mask);
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn mask_layers(&self) -> &BTreeMap<String, ImageMask> {
        self.layers.masks()
    }

    /// The boxes by their keys; empty where there are none.
    ///
    /// ```
    /// use wandb_image::{BoundingBoxes2D, Image, Mode, Pixels};
    ///
    /// let image = Image::from(Pixels::new(1, 1, Mode::L, vec![7])?);
    /// let image = image.boxes("truth", BoundingBoxes2D::new([]))?;
    /// assert!(image.box_layers().contains_key("truth"));
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn box_layers(&self) -> &BTreeMap<String, BoundingBoxes2D> {
        self.layers.boxes()
    }

    /// The number that [`grouping`](Self::grouping) gave.
    ///
    /// ```
    /// use wandb_image::{Image, Mode, Pixels};
    ///
    /// let image = Image::from(Pixels::new(1, 1, Mode::L, vec![7])?);
    /// assert_eq!(image.grouping_number(), None);
    /// assert_eq!(image.grouping(3).grouping_number(), Some(3));
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn grouping_number(&self) -> Option<i64> {
        self.grouping
    }

    /// The names that [`classes`](Self::classes) gave.
    pub fn class_set(&self) -> Option<&Classes> {
        self.layers.classes()
    }

    /// What couldn't be read of an image of an artifact, though its picture could, a line each:
    /// boxes that can't be drawn or have no class, scores that are no numbers, boxes or masks whose
    /// key is too long or empty, masks of another size than the picture or of another kind than W&B
    /// draws, classes without a number or a name, and a grouping that is no whole number. Of more
    /// than 1,000 layers the last line says how many are missing more. Empty for all other images.
    ///
    /// The run counts them when the image is logged, alone or in an artifact or a table, and says it
    /// once per key or artifact.
    ///
    /// ```
    /// use wandb_image::{Artifact, Image};
    /// # let dir = tempfile::tempdir()?;
    /// # image::GrayImage::new(3, 2).save(dir.path().join("zero.png"))?;
    ///
    /// let json = serde_json::json!({
    ///     "_type": "image-file",
    ///     "path": "zero.png",
    ///     "boxes": { "truth": [{ "position": { "middle": [1, 1], "width": 1, "height": 1 } }] },
    /// });
    /// let zero = Image::from_json(&json, &Artifact::open(dir.path())?)?;
    /// assert_eq!(zero.left_out(), ["a box of \"truth\": box 0: it has no class_id"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn left_out(&self) -> Vec<String> {
        self.layers.left_out().lines().collect()
    }
}

fn all<'i, T>(images: &'i [Image], one: impl Fn(&'i Image) -> Option<T>) -> Option<Vec<Option<T>>> {
    let all: Vec<_> = images.iter().map(one).collect();
    all.iter().any(Option::is_some).then_some(all)
}

fn some<L>(layers: &BTreeMap<String, L>) -> Option<&BTreeMap<String, L>> {
    (!layers.is_empty()).then_some(layers)
}
