//! [`ImageList`]: pictures under one key, and what becomes of those that W&B wouldn't show.

use super::Image;
use crate::error::{Error, Result};

/// The images that W&B shows of one list.
const MOST: usize = 108;

/// Several images under one key, which W&B shows side by side.
///
/// `Vec<Image>`, `[Image; N]` and `&[Image]` are lists too, with the defaults of this one.
///
/// ```
/// use wandb_image::{Image, ImageList, Mode, Pixels, Row};
/// # let run = wandb_image::init().start_on(wandb_image::sink::MemorySink::new())?;
///
/// let wide = Image::from(Pixels::new(4, 2, Mode::L, vec![255; 8])?);
/// let high = Image::from(Pixels::new(2, 4, Mode::L, vec![255; 8])?);
/// let list = ImageList::new([wide, high]).pad_to_largest(true);
/// run.log(Row::new().with("samples", list))?;
/// # Ok::<(), wandb_image::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ImageList {
    images: Vec<Image>,
    pads_to_largest: bool,
    overlong: Overlong,
}

/// What becomes of a list of more images than W&B shows of one: 108.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overlong {
    /// It goes on under more keys: `key`, `key (2)`, `key (3)` and so on, each with at most 108 of
    /// its images, in order. The run says so once per key. The default.
    ///
    /// A row can't hold a value of its own under one of these keys: that is an error.
    #[default]
    Split,
    /// An error that names the number of images.
    Error,
}

impl ImageList {
    /// These images, in this order.
    pub fn new(images: impl IntoIterator<Item = Image>) -> Self {
        images.into_iter().collect()
    }

    /// Whether smaller images get black margins, so that all are as wide as the widest and as high
    /// as the highest: the image stays in the middle, its masks get class 0 around it, and its
    /// boxes move along. `false` by default.
    ///
    /// W&B draws a list at the size of its first image. Without this, images of different sizes
    /// are logged as they are, and the run says so once per key.
    pub fn pad_to_largest(mut self, pads: bool) -> Self {
        self.pads_to_largest = pads;
        self
    }

    /// What becomes of more than 108 images. [`Overlong::Split`] by default.
    ///
    /// ```
    /// use wandb_image::{Image, ImageList, Mode, Overlong, Pixels, Row};
    /// # let run = wandb_image::init().start_on(wandb_image::sink::MemorySink::new())?;
    ///
    /// let dot = Image::from(Pixels::new(1, 1, Mode::L, vec![0])?);
    /// let dots = ImageList::new(vec![dot; 109]).overlong(Overlong::Error);
    /// let error = run.log(Row::new().with("dots", dots)).unwrap_err();
    /// assert!(error.to_string().contains("109 images"));
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn overlong(mut self, overlong: Overlong) -> Self {
        self.overlong = overlong;
        self
    }

    /// The images, as they were given.
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// The images as they will be logged under `key`, or what is known to be wrong with them
    /// without making one.
    pub(crate) fn checked(self, key: &str) -> Result<Vec<Image>> {
        if self.images.is_empty() {
            return Err(Error::Key {
                key: key.into(),
                reason: "its list of images is empty, which W&B can't show: leave the key out",
            });
        }
        if self.overlong == Overlong::Error && self.images.len() > MOST {
            return Err(self.too_long(key, "leave it to Overlong::Split to use more keys"));
        }
        let images = match self.pads_to_largest {
            true => padded(self.images),
            false => self.images,
        };
        for (index, image) in images.iter().enumerate() {
            image.check().map_err(|error| error.of_listed(key, index))?;
        }
        Ok(images)
    }

    /// The same, where all must be in one list.
    pub(crate) fn checked_as_one(self, key: &str) -> Result<Vec<Image>> {
        match self.images.len() {
            ..=MOST => self.checked(key),
            _ => Err(self.too_long(key, "ask for the JSON of each part of it")),
        }
    }

    fn too_long(&self, key: &str, remedy: &str) -> Error {
        let n = self.images.len();
        Error::Value {
            reason: format!(
                "the list under {key:?} has {n} images, but W&B shows {MOST} of one: give fewer, \
                 join them into a grid (Image::joined), or {remedy}"
            ),
        }
    }
}

fn padded(images: Vec<Image>) -> Vec<Image> {
    let width = images.iter().map(Image::width).max().unwrap_or_default();
    let height = images.iter().map(Image::height).max().unwrap_or_default();
    let images = images.into_iter();
    images.map(|image| image.padded_to(width, height)).collect()
}

/// The keys that a list of so many images takes, its own first.
pub(crate) fn keys(key: &str, images: usize) -> Vec<String> {
    let part = |n| match n {
        1 => key.to_owned(),
        _ => format!("{key} ({n})"),
    };
    (1..=images.div_ceil(MOST)).map(part).collect()
}

/// What each of the [`keys`] gets.
pub(crate) fn parts<T>(images: &[T]) -> impl Iterator<Item = &[T]> {
    images.chunks(MOST)
}

/// What a person hears of a list that goes on under more keys. None where it doesn't.
pub(crate) fn told(key: &str, images: usize) -> Option<String> {
    let keys = keys(key, images);
    let last = keys.last().filter(|_| keys.len() > 1)?;
    let lists = keys.len();
    Some(format!(
        "a list of {images} images was logged under {key:?} as {lists} lists, the last of them \
         under {last:?}, since W&B shows {MOST} of one: join them into a grid (Image::joined) to \
         see them under one key, or choose Overlong::Error on an ImageList; this is said once per \
         key"
    ))
}

impl FromIterator<Image> for ImageList {
    fn from_iter<I: IntoIterator<Item = Image>>(images: I) -> Self {
        Self {
            images: images.into_iter().collect(),
            ..Self::default()
        }
    }
}

impl Extend<Image> for ImageList {
    fn extend<I: IntoIterator<Item = Image>>(&mut self, images: I) {
        self.images.extend(images);
    }
}

impl From<Vec<Image>> for ImageList {
    fn from(images: Vec<Image>) -> Self {
        Self::new(images)
    }
}

impl<const N: usize> From<[Image; N]> for ImageList {
    fn from(images: [Image; N]) -> Self {
        Self::new(images)
    }
}

impl From<&[Image]> for ImageList {
    fn from(images: &[Image]) -> Self {
        images.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::{Mode, Pixels};

    fn image(width: u32, height: u32) -> Image {
        let bytes = vec![255; (width * height) as usize];
        Image::from(Pixels::new(width, height, Mode::L, bytes).unwrap())
    }

    fn check_keys(images: usize, expected: &[&str], lengths: &[usize]) {
        assert_eq!(keys("k", images), expected);
        let images = vec![(); images];
        assert_eq!(parts(&images).map(<[()]>::len).collect::<Vec<_>>(), lengths);
        assert_eq!(told("k", images.len()).is_some(), expected.len() > 1);
    }

    #[test]
    fn a_list_takes_as_many_keys_as_it_needs() {
        check_keys(1, &["k"], &[1]);
        check_keys(108, &["k"], &[108]);
        check_keys(109, &["k", "k (2)"], &[108, 1]);
        check_keys(325, &["k", "k (2)", "k (3)", "k (4)"], &[108, 108, 108, 1]);
    }

    fn check_error(list: Result<Vec<Image>>, expected: &str) {
        let error = list.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_cannot_be_one_list_is_refused() {
        check_error(ImageList::new([]).checked("k"), "list of images is empty");
        check_error(
            ImageList::new([]).checked_as_one("k"),
            "list of images is empty",
        );
        let many = ImageList::new(vec![image(1, 1); 109]);
        assert_eq!(many.clone().checked("k").unwrap().len(), 109);
        check_error(
            many.clone().checked_as_one("k"),
            "the list under \"k\" has 109 images, but W&B shows 108 of one: give fewer, join them \
             into a grid (Image::joined), or ask for the JSON of each part of it",
        );
        check_error(
            many.overlong(Overlong::Error).checked("k"),
            "or leave it to Overlong::Split",
        );
        let full = ImageList::new(vec![image(1, 1); 108]).overlong(Overlong::Error);
        assert_eq!(full.checked("k").unwrap().len(), 108);
    }

    fn check_sizes(pads: bool, expected: &[(u32, u32)]) {
        let list = ImageList::new([image(4, 1), image(2, 3), image(4, 3)]).pad_to_largest(pads);
        let sizes = |images: Vec<Image>| -> Vec<(u32, u32)> {
            let sizes = images.iter().map(|image| (image.width(), image.height()));
            sizes.collect()
        };
        assert_eq!(sizes(list.checked("k").unwrap()), expected);
    }

    #[test]
    fn images_are_padded_when_asked() {
        check_sizes(false, &[(4, 1), (2, 3), (4, 3)]);
        check_sizes(true, &[(4, 3); 3]);
    }

    #[test]
    fn padding_beyond_the_limits_is_refused() {
        let list = ImageList::new([image(65_500, 1), image(1, 65_500)]).pad_to_largest(true);
        check_error(
            list.checked("k"),
            "a picture of 65500×65500 pixels is too large: the greatest size in memory is 1 GiB",
        );
    }
}
