//! The JSON of tables: the types of their columns, and what a row says of one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::artifact::class_map;
use super::{map, text};
use crate::image::artifact::ArtifactImage;
use crate::image::classes::Classes;
use crate::value::Json;

/// How the name of a table's file ends.
pub(crate) const TABLE_FILE: &str = "table.json";
/// The folder of tables, relative to a run's `files/`.
pub(crate) const TABLE_FOLDER: &str = "media/table";
/// What the table of a run shows in the place of a picture.
pub(crate) const PICTURE: &str = "Image";
const LOG_MODE: &str = "IMMUTABLE";

/// What is known of the images of a column: their layers, and the names of their classes. What is
/// known first holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ImageType {
    box_names: BTreeMap<String, Classes>,
    mask_names: BTreeMap<String, Classes>,
    score_names: BTreeSet<String>,
    classes: Classes,
}

impl ImageType {
    pub(crate) fn of(image: &ArtifactImage) -> Self {
        let layers = &image.layers;
        Self {
            box_names: layers.box_names.clone(),
            mask_names: layers.mask_names.clone(),
            score_names: layers.score_names.clone(),
            classes: Classes::of_distinct(layers.classes.iter()),
        }
    }

    /// Takes up what a later image adds.
    pub(crate) fn add(&mut self, later: Self) {
        add_names(&mut self.box_names, later.box_names);
        add_names(&mut self.mask_names, later.mask_names);
        self.score_names.extend(later.score_names);
        self.classes = later.classes.with(&self.classes);
    }

    fn json(&self) -> Json {
        let scores = self.score_names.iter().map(|name| text(name)).collect();
        let params = map(vec![
            ("box_layers", constant(ids(&self.box_names), false)),
            ("box_score_keys", constant(Json::List(scores), true)),
            ("mask_layers", constant(ids(&self.mask_names), false)),
            ("box_class_maps", constant(maps(&self.box_names), false)),
            ("mask_class_maps", constant(maps(&self.mask_names), false)),
            ("class_map", constant(class_map(&self.classes), false)),
        ]);
        typed("image-file", Some(params))
    }
}

fn add_names(all: &mut BTreeMap<String, Classes>, later: BTreeMap<String, Classes>) {
    for (key, names) in later {
        let known = all.entry(key).or_default();
        *known = names.with(known);
    }
}

fn ids(layers: &BTreeMap<String, Classes>) -> Json {
    let ids = |names: &Classes| names.iter().map(|(id, _)| Json::I64(id)).collect();
    let layers = layers.iter();
    map(layers
        .map(|(key, names)| (&**key, Json::List(ids(names))))
        .collect())
}

/// Layers without any names are left out, as those of mask files are.
fn maps(layers: &BTreeMap<String, Classes>) -> Json {
    let layers = layers.iter().filter(|(_, names)| !names.is_empty());
    map(layers
        .map(|(key, names)| (&**key, class_map(names)))
        .collect())
}

fn constant(value: Json, is_set: bool) -> Json {
    let params = map(vec![("val", value), ("is_set", Json::Bool(is_set))]);
    typed("const", Some(params))
}

fn typed(name: &str, params: Option<Json>) -> Json {
    let mut entries = vec![("wb_type", text(name))];
    entries.extend(params.map(|params| ("params", params)));
    map(entries)
}

/// What the values of a column are, those that are there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ValueType {
    Number,
    Text,
    Bool,
    Image(ImageType),
    List(ListType),
}

/// What the values of a list are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ListType {
    /// None where all are null, or there are none.
    pub(crate) element: Option<ElementType>,
    pub(crate) has_null: bool,
    pub(crate) len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ElementType {
    Number,
    Text,
    Bool,
}

impl ElementType {
    fn name(self) -> &'static str {
        match self {
            ElementType::Number => "number",
            ElementType::Text => "string",
            ElementType::Bool => "boolean",
        }
    }
}

impl ListType {
    fn element(&self) -> Json {
        let element = typed(self.element.map_or("unknown", ElementType::name), None);
        match self.has_null {
            true => union(self.element_shown(), element),
            false => element,
        }
    }

    /// How Python shows the type of its values.
    fn element_shown(&self) -> &'static str {
        shown(self.element.map_or("unknown", ElementType::name))
    }

    fn json(&self) -> Json {
        let params = map(vec![
            ("element_type", self.element()),
            ("length", Json::U64(self.len as u64)),
        ]);
        typed("list", Some(params))
    }
}

fn shown(name: &str) -> &'static str {
    match name {
        "boolean" => "Boolean",
        "number" => "Number",
        "string" => "String",
        _ => "Unknown",
    }
}

const NONE_SHOWN: &str = "None";

/// One of these, or null: in the order of how Python shows them.
fn union(type_shown: &str, of_value: Json) -> Json {
    let none = typed("none", None);
    let allowed = match type_shown < NONE_SHOWN {
        true => vec![of_value, none],
        false => vec![none, of_value],
    };
    typed(
        "union",
        Some(map(vec![("allowed_types", Json::List(allowed))])),
    )
}

/// The type of a column, whose values may be null.
fn column(values: Option<&ValueType>) -> Json {
    let (shown, of_value) = match values {
        None => ("Unknown", typed("unknown", None)),
        Some(ValueType::Number) => ("Number", typed("number", None)),
        Some(ValueType::Text) => ("String", typed("string", None)),
        Some(ValueType::Bool) => ("Boolean", typed("boolean", None)),
        Some(ValueType::Image(image)) => ("Image-file", image.json()),
        // What stands before the brackets decides, and `None` alone before `None or …[]`.
        Some(ValueType::List(list)) if list.has_null && list.element_shown() < NONE_SHOWN => {
            (list.element_shown(), list.json())
        }
        Some(ValueType::List(list)) if list.has_null => ("None or", list.json()),
        Some(ValueType::List(list)) => (list.element_shown(), list.json()),
    };
    union(shown, of_value)
}

/// What stands before the rows of a table's file in an artifact, and behind them.
pub(crate) fn file_around(
    columns: &[String],
    types: &[Option<ValueType>],
    rows: u64,
) -> (String, String) {
    let type_map = columns.iter().zip(types);
    let type_map: Vec<_> = type_map
        .map(|(name, values)| (&**name, column(values.as_ref())))
        .collect();
    let types = typed("typedDict", Some(map(vec![("type_map", map(type_map))])));
    let names = Json::List(columns.iter().map(|name| text(name)).collect());
    let whole = |entries| map(entries).to_python_text();
    let before = whole(vec![
        ("_type", text("table")),
        ("column_types", types),
        ("columns", names),
    ]);
    let after = whole(vec![
        ("log_mode", text(LOG_MODE)),
        ("ncols", Json::U64(columns.len() as u64)),
        ("nrows", Json::U64(rows)),
    ]);
    let before = before.strip_suffix('}').unwrap_or(&before);
    let after = after.strip_prefix('{').unwrap_or(&after);
    (format!("{before}, \"data\": ["), format!("], {after}"))
}

/// The same of its file in the run.
pub(crate) fn run_file_around(columns: &[String]) -> (String, String) {
    let names = Json::List(columns.iter().map(|name| text(name)).collect());
    (
        format!("{{\"columns\":{},\"data\":[", names.to_text()),
        "]}".into(),
    )
}

/// What a table is called in a row.
const TABLE_TYPE: &str = "table-file";
const ARTIFACT_PATH: &str = "artifact_path";
/// What the address of a file in an artifact begins with; the artifact's client id follows.
const CLIENT_ARTIFACT: &str = "wandb-client-artifact://";
/// The longest client id, in bytes: the Python SDK's are half of that.
const MAX_CLIENT_ID: usize = 256;

/// The client id of the artifact that the table of a row is of.
pub(super) fn client_id_of(value: &Map<String, Value>) -> Option<String> {
    value.get("_type").filter(|kind| *kind == TABLE_TYPE)?;
    let path = value.get(ARTIFACT_PATH)?.as_str()?;
    let (client_id, _) = path.strip_prefix(CLIENT_ARTIFACT)?.split_once('/')?;
    (client_id.len() <= MAX_CLIENT_ID).then(|| client_id.into())
}

/// A table as a row of the run has it.
#[derive(Clone, Debug)]
pub(crate) struct LoggedTable {
    /// Relative to the run's `files/`.
    pub(crate) path: String,
    pub(crate) sha256: String,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) columns: u64,
    pub(crate) rows: u64,
    /// The path of the table's file in its artifact.
    pub(crate) artifact_path: String,
    pub(crate) client_id: String,
    pub(crate) sequence_client_id: String,
}

/// A table under a key.
pub(crate) fn table(table: &LoggedTable) -> Json {
    let LoggedTable {
        artifact_path,
        client_id,
        sequence_client_id,
        ..
    } = table;
    let artifact = |id: &str| text(&format!("{CLIENT_ARTIFACT}{id}/{artifact_path}"));
    map(vec![
        ("_type", text(TABLE_TYPE)),
        ("ncols", Json::U64(table.columns)),
        ("nrows", Json::U64(table.rows)),
        ("log_mode", text(LOG_MODE)),
        ("path", text(&table.path)),
        ("sha256", text(&table.sha256)),
        ("size", Json::U64(table.size)),
        (ARTIFACT_PATH, artifact(client_id)),
        (
            "_latest_artifact_path",
            artifact(&format!("{sequence_client_id}:latest")),
        ),
    ])
}
