//! Rows: what one call of `log` hands over, and the same once it is checked.

use std::collections::BTreeMap;

use super::value::{Kind, Value};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::sink::MediaKey;
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
    pub(super) fn checked(self) -> Result<CheckedRow> {
        let values = self.0.into_iter();
        let checked = values.map(|(key, value)| {
            let value = checked(&key, value)?;
            Ok((key, value))
        });
        Ok(CheckedRow(checked.collect::<Result<_>>()?))
    }
}

/// A row that can be refused no more.
#[derive(Debug, Default)]
pub(super) struct CheckedRow(Vec<(String, Checked)>);

#[derive(Debug)]
pub(super) enum Checked {
    Json(Json),
    Image(MediaKey, Box<Image>),
    Images(MediaKey, Vec<Image>),
}

impl CheckedRow {
    pub(super) fn into_values(self) -> Vec<(String, Checked)> {
        self.0
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

fn checked(key: &str, value: Value) -> Result<Checked> {
    check_key(key)?;
    match value.0 {
        Kind::Json(json) => Ok(Checked::Json(json)),
        Kind::Images(images) if images.is_empty() => Err(Error::Key {
            key: key.into(),
            reason: "its list of images is empty, which W&B can't show: leave the key out",
        }),
        Kind::Image(image) => {
            let media_key = MediaKey::new(key)?;
            image.check()?;
            Ok(Checked::Image(media_key, image))
        }
        Kind::Images(images) => {
            let media_key = MediaKey::new(key)?;
            images.iter().try_for_each(Image::check)?;
            Ok(Checked::Images(media_key, images))
        }
    }
}
