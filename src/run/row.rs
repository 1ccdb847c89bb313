//! Rows: what one call of `log` hands over, and the same once it is checked.

use std::collections::BTreeMap;

use super::value::{Kind, Value};
use crate::error::{Error, Result, beginning};
use crate::image::{Image, list};
use crate::sink::MediaKey;
use crate::table::{SharedTable, Table};
use crate::value::{Json, MAX_WAY};

/// The longest key of pictures, in bytes: records write what a layer is called after it, and what
/// is said of it.
const MAX_MEDIA_KEY: usize = MAX_WAY - (2 << 10);

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
        let row = CheckedRow(checked.collect::<Result<_>>()?);
        let taken = row.keys_of_parts().find(|key| row.has(key));
        taken.map_or(Ok(()), |key| Err(part_is_taken(key)))?;
        Ok(row)
    }
}

/// A row that can be refused no more, but for its step and what stands there already.
#[derive(Debug, Default)]
pub(super) struct CheckedRow(BTreeMap<String, Checked>);

#[derive(Debug)]
pub(super) enum Checked {
    Json(Json),
    Image(MediaKey, Box<Image>),
    Images(CheckedList),
    Table(MediaKey, SharedTable),
}

/// A list of images, under as many keys as it needs: its own first.
#[derive(Debug)]
pub(super) struct CheckedList {
    pub(super) keys: Vec<(String, MediaKey)>,
    pub(super) images: Vec<Image>,
}

impl CheckedRow {
    pub(super) fn into_values(self) -> BTreeMap<String, Checked> {
        self.0
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The keys of tables.
    pub(super) fn keys_of_tables(&self) -> impl Iterator<Item = &str> {
        self.tables().map(|(key, _)| key)
    }

    fn tables(&self) -> impl Iterator<Item = (&str, &SharedTable)> {
        self.0.iter().filter_map(|(key, value)| match value {
            Checked::Table(_, table) => Some((&**key, table)),
            Checked::Json(_) | Checked::Image(..) | Checked::Images(_) => None,
        })
    }

    /// Takes its tables, each from all clones of its value: all of them, or none.
    pub(super) fn claim_tables(&self) -> Result<BTreeMap<String, Table>> {
        let mut claimed = BTreeMap::new();
        for (key, shared) in self.tables() {
            match shared.take(key) {
                Ok(table) => drop(claimed.insert(key.to_owned(), table)),
                Err(error) => {
                    let claimed = self.tables().zip(claimed.into_values());
                    claimed.for_each(|((_, shared), table)| shared.put_back(table));
                    return Err(error);
                }
            }
        }
        Ok(claimed)
    }

    /// The keys under which lists go on.
    pub(super) fn keys_of_parts(&self) -> impl Iterator<Item = &str> {
        let keys = self.0.values().flat_map(Checked::keys_of_parts);
        keys.map(|(key, _)| &**key)
    }
}

impl Checked {
    fn keys_of_parts(&self) -> &[(String, MediaKey)] {
        match self {
            Checked::Images(list) => list.keys.get(1..).unwrap_or_default(),
            Checked::Json(_) | Checked::Image(..) | Checked::Table(..) => &[],
        }
    }
}

/// That a list would go on under a key that has a value of its own.
pub(super) fn part_is_taken(key: &str) -> Error {
    Error::Key {
        key: key.into(),
        reason: "it has a value of its own in this row, but a list with more images than W&B \
                 shows of one goes on under it: rename one of them, or log fewer images",
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
    check_length(key)?;
    match key.starts_with('_') {
        false => Ok(()),
        true => Err(Error::Key {
            key: key.into(),
            reason: "keys that begin with `_` are W&B's own (`_step`, `_runtime`): rename it",
        }),
    }
}

/// What goes for keys of rows, the summary and the config alike.
pub(super) fn check_length(key: &str) -> Result<()> {
    let reason = match key.len() {
        0 => "a key must not be empty",
        1..=MAX_WAY => return Ok(()),
        _ => "a key is at most 65,536 bytes long: shorten it",
    };
    Err(Error::Key {
        key: beginning(key),
        reason,
    })
}

fn media_key(key: &str) -> Result<MediaKey> {
    match key.len() {
        ..=MAX_MEDIA_KEY => MediaKey::new(key),
        _ => Err(Error::Key {
            key: beginning(key),
            reason: "a key of pictures is at most 63,488 bytes long: shorten it",
        }),
    }
}

fn checked(key: &str, value: Value) -> Result<Checked> {
    check_key(key)?;
    match value.0 {
        Kind::Json(json) => json.checked(key).map(Checked::Json),
        Kind::Image(image) => {
            let media_key = media_key(key)?;
            image.check().map_err(|error| error.of_image(key, None))?;
            Ok(Checked::Image(media_key, image))
        }
        Kind::Images(images) => {
            media_key(key)?;
            CheckedList::new(key, images.checked(key)?).map(Checked::Images)
        }
        Kind::Table(table) => {
            let media_key = media_key(key)?;
            Ok(Checked::Table(media_key, table))
        }
    }
}

impl CheckedList {
    fn new(key: &str, images: Vec<Image>) -> Result<Self> {
        let media_key = |key: String| Ok((key.clone(), MediaKey::new(&key)?));
        let keys = list::keys(key, images.len()).into_iter().map(media_key);
        Ok(Self {
            keys: keys.collect::<Result<_>>()?,
            images,
        })
    }
}

/// Pictures that go into no row, checked as those of one are.
#[derive(Debug)]
pub(super) struct CheckedMedia {
    pub(super) key: String,
    pub(super) media_key: MediaKey,
    pub(super) is_list: bool,
    pub(super) images: Vec<Image>,
}

impl CheckedMedia {
    pub(super) fn new(key: &str, value: Value) -> Result<Self> {
        check_key(key)?;
        let media_key = media_key(key)?;
        let (is_list, images) = match value.0 {
            Kind::Json(json) => return Err(no_media(key, &json)),
            Kind::Image(image) => {
                image.check().map_err(|error| error.of_image(key, None))?;
                (false, vec![*image])
            }
            Kind::Images(list) => (true, list.checked_as_one(key)?),
            Kind::Table(_) => return Err(no_media_but_a_table(key)),
        };
        Ok(Self {
            key: key.into(),
            media_key,
            is_list,
            images,
        })
    }
}

fn no_media_but_a_table(key: &str) -> Error {
    Error::Value {
        reason: format!(
            "the table under {key:?} is no image and no list of images: log it in a row"
        ),
    }
}

fn no_media(key: &str, json: &Json) -> Error {
    const SHOWN: usize = 40;
    let text: String = json.to_text().chars().take(SHOWN).collect();
    Error::Value {
        reason: format!(
            "{text} under {key:?} is no image and no list of images, and has no files: use it in \
             a row as it is"
        ),
    }
}
