//! Rows: what one call of `log` hands over, and the same with its pictures encoded.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::value::{Kind, Value};
use crate::error::{Error, Result};
use crate::image::{Image, Noticed};
use crate::sink::{MediaKey, sha256};
use crate::value::Json;

/// The values of one step, each under its key. Where a key comes twice, the last value stays.
///
/// Made key by key, from an array or from an iterator of pairs. Keys aren't empty and don't
/// begin with `_`, which W&B keeps for its own; anything else goes, also slashes, which W&B
/// takes for sections. The key of an image makes a path too, which refuses a few more: see
/// [`Run`](crate::Run), under "Keys".
///
/// ```
/// use wandb_image::Row;
///
/// let row = Row::new().with("loss", 0.5).with("epoch", 3).with("note", "warm-up");
/// let row = Row::from([("train/loss", 0.5), ("val/loss", 0.7)]);
/// let row: Row = ["a", "b"].into_iter().zip(0..).collect();
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Row(BTreeMap<String, Value>);

impl Row {
    /// Holds nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value.
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.insert(key.into(), value.into());
        self
    }

    /// Checks all that can be checked without making a picture.
    pub(super) fn check(&self) -> Result<()> {
        self.0
            .iter()
            .try_for_each(|(key, value)| check_value(key, value))
    }

    /// Checks everything and encodes the pictures.
    pub(super) fn prepare(self) -> Result<PreparedRow> {
        self.check()?;
        self.0
            .into_iter()
            .map(|(key, value)| Ok((key.clone(), prepare(&key, value)?)))
            .collect()
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Row {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }
}

impl<K: Into<String>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Row {
    fn from(pairs: [(K, V); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<K: Into<String>, V: Into<Value>> Extend<(K, V)> for Row {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        self.0.extend(
            pairs
                .into_iter()
                .map(|(key, value)| (key.into(), value.into())),
        );
    }
}

pub(super) fn check_key(key: &str) -> Result<()> {
    let reason = match key {
        "" => "a key must not be empty",
        _ if key.starts_with('_') => {
            "keys that begin with `_` are W&B's own (`_step`, `_runtime`): rename it"
        }
        _ => return Ok(()),
    };
    Err(Error::Key {
        key: key.into(),
        reason,
    })
}

fn check_value(key: &str, value: &Value) -> Result<()> {
    check_key(key)?;
    match &value.0 {
        Kind::Json(_) => Ok(()),
        Kind::Images(images) if images.is_empty() => Err(Error::Key {
            key: key.into(),
            reason: "its list of images is empty, which W&B can't show: leave the key out",
        }),
        Kind::Image(image) => check_images(key, std::slice::from_ref(image)),
        Kind::Images(images) => check_images(key, images),
    }
}

fn check_images(key: &str, images: &[Image]) -> Result<()> {
    MediaKey::new(key)?;
    images.iter().try_for_each(Image::check)
}

/// A row that can be written: nothing in it can fail but the disk.
pub(super) type PreparedRow = BTreeMap<String, Prepared>;

#[derive(Debug)]
pub(super) enum Prepared {
    Json(Json),
    Image(MediaKey, PreparedImage),
    Images(MediaKey, Vec<PreparedImage>),
}

impl Prepared {
    pub(super) fn images(&self) -> &[PreparedImage] {
        match self {
            Prepared::Json(_) => &[],
            Prepared::Image(_, image) => std::slice::from_ref(image),
            Prepared::Images(_, images) => images,
        }
    }
}

#[derive(Debug)]
pub(super) struct PreparedImage {
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) sha256: String,
    pub(super) format: &'static str,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) caption: Option<String>,
    pub(super) noticed: Noticed,
}

fn prepare(key: &str, value: Value) -> Result<Prepared> {
    Ok(match value.0 {
        Kind::Json(json) => Prepared::Json(json),
        Kind::Image(image) => Prepared::Image(MediaKey::new(key)?, encode(&image)?),
        Kind::Images(images) => {
            let images = images.iter().map(encode).collect::<Result<_>>()?;
            Prepared::Images(MediaKey::new(key)?, images)
        }
    })
}

fn encode(image: &Image) -> Result<PreparedImage> {
    let encoded = image.encode()?;
    Ok(PreparedImage {
        sha256: sha256(&encoded.bytes),
        bytes: encoded.bytes,
        format: encoded.format,
        width: image.width(),
        height: image.height(),
        caption: image.caption_text().map(Into::into),
        noticed: encoded.noticed,
    })
}
