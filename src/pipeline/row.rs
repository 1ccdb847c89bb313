//! Rows on their way, and rows whose pictures are made.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::clock::Moment;
use super::queue::TableId;
use crate::error::Result;
use crate::image::{EncodedLayer, Image, LayerKind, Names, Noticed};
use crate::sink::{MediaKey, sha256};
use crate::table::MadeTable;
use crate::value::Json;

/// The number of a picture on its way. A later one is greater.
pub(crate) type PictureId = u64;

/// A row that was accepted. Its pictures are made meanwhile.
#[derive(Debug)]
pub(crate) struct QueuedRow {
    pub(crate) step: u64,
    pub(crate) logged: Moment,
    pub(crate) values: BTreeMap<String, Queued>,
}

#[derive(Debug)]
pub(crate) enum Queued {
    Json(Json),
    Pictures(Pictures),
    Table(MediaKey, TableId),
}

/// The pictures under one key.
#[derive(Debug)]
pub(crate) struct Pictures {
    pub(crate) key: MediaKey,
    pub(crate) is_list: bool,
    pub(crate) ids: Vec<PictureId>,
}

impl QueuedRow {
    /// The memory that its values take, pictures aside, beyond that of a few scalars.
    pub(super) fn size_bytes(&self) -> u64 {
        let values = self.values.iter().map(|(key, value)| match value {
            Queued::Json(json) => size_of_value(key, json),
            Queued::Pictures(_) | Queued::Table(..) => 0,
        });
        beyond_scalars(values.sum())
    }
}

/// What a few scalars take counts as nothing: their number is limited instead.
pub(super) fn beyond_scalars(bytes: usize) -> u64 {
    const SCALARS: usize = 1 << 10;
    bytes.saturating_sub(SCALARS) as u64
}

pub(super) fn size_of_value(key: &str, value: &Json) -> usize {
    key.len() + size_of::<(String, Queued)>() + value.heap_bytes()
}

impl Queued {
    pub(crate) fn pictures(&self) -> &[PictureId] {
        match self {
            Queued::Json(_) | Queued::Table(..) => &[],
            Queued::Pictures(pictures) => &pictures.ids,
        }
    }

    pub(crate) fn table(&self) -> Option<TableId> {
        match self {
            Queued::Table(_, id) => Some(*id),
            Queued::Json(_) | Queued::Pictures(_) => None,
        }
    }
}

/// A row that can be written: nothing in it can fail but the disk.
#[derive(Debug)]
pub(super) struct PreparedRow {
    pub(super) step: u64,
    pub(super) logged: Moment,
    pub(super) values: BTreeMap<String, Prepared>,
}

impl PreparedRow {
    /// Of the tables in it.
    pub(super) fn tables(&self) -> u64 {
        self.values.values().filter_map(Prepared::table).count() as u64
    }

    /// How many there are.
    pub(super) fn pictures(&self) -> usize {
        let pictures = self.values.values().map(|value| value.images().len());
        pictures.sum()
    }

    /// Whether it has pictures or tables.
    pub(super) fn has_files(&self) -> bool {
        let has_files = |value: &Prepared| !matches!(value, Prepared::Json(_));
        self.values.values().any(has_files)
    }
}

#[derive(Debug)]
pub(super) enum Prepared {
    Json(Json),
    Image(MediaKey, PreparedImage),
    Images(MediaKey, Vec<PreparedImage>),
    Table(MediaKey, Box<MadeTable>),
}

impl Prepared {
    pub(super) fn table(&self) -> Option<&MadeTable> {
        match self {
            Prepared::Table(_, table) => Some(table),
            Prepared::Json(_) | Prepared::Image(..) | Prepared::Images(..) => None,
        }
    }

    pub(super) fn images(&self) -> &[PreparedImage] {
        match self {
            Prepared::Json(_) | Prepared::Table(..) => &[],
            Prepared::Image(_, image) => std::slice::from_ref(image),
            Prepared::Images(_, images) => images,
        }
    }
}

/// A picture as the bytes of a file that has no name yet.
#[derive(Debug)]
pub(super) struct PreparedImage {
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) sha256: String,
    pub(super) format: &'static str,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) caption: Option<String>,
    pub(super) grouping: Option<i64>,
    pub(super) layers: Vec<PreparedLayer>,
    pub(super) noticed: Noticed,
}

/// A mask, or boxes, as the bytes of a file that has no name yet.
#[derive(Debug)]
pub(super) struct PreparedLayer {
    pub(super) kind: LayerKind,
    pub(super) key: String,
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) sha256: String,
    pub(super) names: Names,
}

impl PreparedImage {
    /// Makes the picture: the work of a worker.
    pub(super) fn make(image: &Image) -> Result<Self> {
        let encoded = image.encode()?;
        Ok(Self {
            sha256: sha256(&encoded.bytes),
            bytes: encoded.bytes,
            format: encoded.format,
            width: image.width(),
            height: image.height(),
            caption: image.caption_text().map(Into::into),
            grouping: image.shown_grouping(),
            layers: encoded.layers.into_iter().map(Into::into).collect(),
            noticed: encoded.noticed,
        })
    }

    /// The memory that it holds, in bytes.
    pub(super) fn size_bytes(&self) -> u64 {
        let layers = self.layers.iter().map(|layer| layer.bytes.len());
        let caption = self.caption.as_ref().map_or(0, String::len);
        (self.bytes.len() + caption + layers.sum::<usize>()) as u64
    }
}

impl From<EncodedLayer> for PreparedLayer {
    fn from(layer: EncodedLayer) -> Self {
        Self {
            sha256: sha256(&layer.bytes),
            kind: layer.kind,
            key: layer.key,
            bytes: layer.bytes,
            names: layer.names,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[serde_json::Value], at_least: u64, at_most: u64) {
        let values = values.iter().cloned().enumerate();
        let values = values.map(|(i, value)| (i.to_string(), Queued::Json(value.into())));
        let row = QueuedRow {
            step: 0,
            logged: super::super::Clock::start().now(),
            values: values.collect(),
        };
        let bytes = row.size_bytes();
        assert!((at_least..=at_most).contains(&bytes), "{bytes}");
    }

    #[test]
    fn long_values_count_and_a_few_scalars_do_not() {
        use serde_json::json;
        check(&[], 0, 0);
        check(&vec![json!(0.5); 10], 0, 0);
        check(&[json!("warm-up"), json!(true), json!(null)], 0, 0);
        check(&vec![json!(0.5); 10_000], 500_000, 2_000_000);
        let text = "x".repeat(1 << 20);
        check(&[json!(text)], 1_000_000, 1 << 20);
        check(&[json!([[text], {"a": text}])], 2_000_000, 2_200_000);
        check(&[json!({text: 1})], 1_000_000, 1_100_000);
        check(&[json!(vec![0; 10_000])], 240_000, 400_000);
    }
}
