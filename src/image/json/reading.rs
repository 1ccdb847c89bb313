//! The JSON files of artifacts, read back: those of this crate and those of the Python SDK.

use serde_json::{Map, Value};

use super::artifact::IMAGE_TYPE;
use crate::error::beginning;
use crate::image::boxes::{BoundingBox, Domain, Position};
use crate::image::classes::Classes;
use crate::value::scan::{self, List};
use crate::value::tokens::number;

/// A reason why something can't be read.
type Result<T> = std::result::Result<T, String>;

/// What the JSON of an image says.
#[derive(Debug)]
pub(crate) struct ReadImage {
    pub(crate) picture: Named,
    pub(crate) caption: Option<String>,
    pub(crate) grouping: Option<i64>,
    pub(crate) classes: Option<Named>,
    pub(crate) boxes: Vec<(String, Vec<BoundingBox>)>,
    pub(crate) masks: Vec<(String, Named)>,
}

/// A file of an artifact, and its hash where that is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) path: String,
    pub(crate) hash: Option<String>,
}

/// Whether a value is an image.
pub(crate) fn is_image(value: &Value) -> bool {
    value.get("_type").and_then(Value::as_str) == Some(IMAGE_TYPE)
}

pub(crate) fn image(value: &Value) -> Result<ReadImage> {
    let map = of_type(value, IMAGE_TYPE)?;
    Ok(ReadImage {
        picture: picture(map)?,
        caption: text(map, "caption")?,
        grouping: given(map, "grouping")
            .map(|value| whole(value).ok_or_else(|| no("grouping", value, "a whole number")))
            .transpose()?,
        classes: given(map, "classes").map(named_classes).transpose()?,
        boxes: layers(map, "boxes", all_boxes)?,
        masks: layers(map, "masks", |mask| {
            named(object(mask, "a mask")?, "sha256")
        })?,
    })
}

/// What is there under a key, and isn't null.
fn given<'v>(map: &'v Map<String, Value>, key: &str) -> Option<&'v Value> {
    map.get(key).filter(|value| !value.is_null())
}

fn of_type<'v>(value: &'v Value, expected: &str) -> Result<&'v Map<String, Value>> {
    let map = object(value, "it")?;
    match map.get("_type").and_then(Value::as_str) {
        Some(found) if found == expected => Ok(map),
        Some(found) => Err(format!(
            "its _type is {:?}, but {expected:?} was expected",
            beginning(found)
        )),
        None => Err(format!("it has no _type, but {expected:?} was expected")),
    }
}

fn object<'v>(value: &'v Value, what: &str) -> Result<&'v Map<String, Value>> {
    value
        .as_object()
        .ok_or_else(|| format!("{what} is {}, but a map was expected", shown(value)))
}

/// As much of a value as a message takes.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the text {:?}", beginning(text)),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a map".into(),
        other => other.to_string(),
    }
}

fn no(what: &str, value: &Value, expected: &str) -> String {
    format!(
        "its {what} is {}, but {expected} was expected",
        shown(value)
    )
}

fn text(map: &Map<String, Value>, key: &str) -> Result<Option<String>> {
    let text = |value: &Value| {
        let text = value.as_str().ok_or_else(|| no(key, value, "a text"));
        text.map(Into::into)
    };
    given(map, key).map(text).transpose()
}

/// A whole number, also as a float or a text that holds one.
fn whole(value: &Value) -> Option<i64> {
    let of_float = |value: f64| {
        let limit = 2.0_f64.powi(63);
        let is_whole = value.fract() == 0.0 && (-limit..limit).contains(&value);
        is_whole.then_some(value as i64)
    };
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            number
                .as_f64()
                .filter(|_| number.is_f64())
                .and_then(of_float)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn named(map: &Map<String, Value>, hash: &str) -> Result<Named> {
    let path = text(map, "path")?.ok_or("it has no path of a file")?;
    let hash = text(map, hash)?;
    Ok(Named { path, hash })
}

/// The hash of a reference, which has no size, is that of its address, and not of its file.
fn picture(map: &Map<String, Value>) -> Result<Named> {
    let is_here = given(map, "width").is_some() || given(map, "height").is_some();
    let picture = named(map, "sha256")?;
    Ok(Named {
        hash: picture.hash.filter(|_| is_here),
        ..picture
    })
}

fn named_classes(value: &Value) -> Result<Named> {
    let named = named(object(value, "its classes")?, "digest");
    named.map_err(|reason| format!("of its classes, {reason}"))
}

/// The layers of one kind by their keys; none where that is null.
fn layers<T>(
    map: &Map<String, Value>,
    kind: &'static str,
    read: impl Fn(&Value) -> Result<T>,
) -> Result<Vec<(String, T)>> {
    let Some(layers) = given(map, kind) else {
        return Ok(Vec::new());
    };
    let layers = object(layers, &format!("what it has as {kind}"))?.iter();
    let layers = layers.filter(|(_, layer)| !layer.is_null());
    layers
        .map(|(key, layer)| {
            let layer = read(layer);
            let of_layer = |reason| format!("{kind} {:?}: {reason}", beginning(key));
            Ok((key.clone(), layer.map_err(of_layer)?))
        })
        .collect()
}

fn all_boxes(value: &Value) -> Result<Vec<BoundingBox>> {
    let Some(boxes) = value.as_array() else {
        return Err(format!(
            "they are {}, but an artifact has a list of boxes",
            shown(value)
        ));
    };
    let boxes = boxes.iter().enumerate();
    boxes
        .map(|(index, one)| one_box(one).map_err(|reason| format!("box {index}: {reason}")))
        .collect()
}

fn one_box(value: &Value) -> Result<BoundingBox> {
    let map = object(value, "it")?;
    let class_id = given(map, "class_id").ok_or("it has no class_id")?;
    let class_id =
        whole(class_id).ok_or_else(|| no("class_id", class_id, "a whole number of 64 bits"))?;
    let position = given(map, "position").ok_or("it has no position")?;
    let position = position_of(object(position, "its position")?)?;
    let mut one = BoundingBox::new(domain(map)?, position, class_id);
    if let Some(caption) = text(map, "box_caption")? {
        one = one.caption(caption);
    }
    if let Some(scores) = given(map, "scores") {
        for (name, score) in object(scores, "what it has as scores")? {
            let expected = || no(&format!("score {:?}", beginning(name)), score, "a number");
            one = one.score(name, number(score).ok_or_else(expected)?);
        }
    }
    Ok(one)
}

fn domain(map: &Map<String, Value>) -> Result<Domain> {
    match given(map, "domain") {
        None => Ok(Domain::Fraction),
        Some(domain) if domain == "pixel" => Ok(Domain::Pixel),
        Some(other) => Err(no("domain", other, "\"pixel\", or none for fractions,")),
    }
}

fn position_of(map: &Map<String, Value>) -> Result<Position> {
    let number = |key: &str| {
        let value = given(map, key).ok_or_else(|| {
            format!(
                "its position has no {key}, but either minX, minY, maxX and maxY or middle, width \
                 and height were expected"
            )
        })?;
        number(value).ok_or_else(|| no(key, value, "a number"))
    };
    let Some(middle) = given(map, "middle") else {
        let [min_x, min_y] = [number("minX")?, number("minY")?];
        return Ok(Position::corners(
            min_x,
            min_y,
            number("maxX")?,
            number("maxY")?,
        ));
    };
    let coordinates = middle.as_array().map_or(&[][..], Vec::as_slice);
    let of = crate::value::tokens::number;
    match coordinates
        .iter()
        .map(of)
        .collect::<Option<Vec<_>>>()
        .as_deref()
    {
        Some(&[x, y]) => Ok(Position::middle(x, y, number("width")?, number("height")?)),
        _ => Err(no("middle", middle, "a list of two numbers")),
    }
}

/// The classes of a file of them. Of two names of an id the last holds, as in the Python SDK.
pub(crate) fn classes(text: &str) -> Result<Classes> {
    let value = scan::parse(text)?;
    let map = of_type(&value, "classes")?;
    let set = given(map, "class_set").and_then(Value::as_array);
    let set = set.ok_or("it has no list as class_set")?;
    let named: Vec<_> = set
        .iter()
        .map(|one| one_class(object(one, "a class")?))
        .collect::<Result<_>>()?;
    let named = named.iter().map(|(id, name)| (*id, &**name));
    Ok(Classes::of_distinct(named))
}

fn one_class(map: &Map<String, Value>) -> Result<(i64, String)> {
    let id = given(map, "id").ok_or("a class has no id")?;
    let id = whole(id).ok_or_else(|| {
        format!(
            "the id of a class is {}, but a whole number of 64 bits was expected, which masks and \
             boxes have",
            shown(id)
        )
    })?;
    let name = text(map, "name")
        .and_then(|name| name.ok_or("it has no name".into()))
        .map_err(|reason| format!("class {id}: {reason}"))?;
    Ok((id, name))
}

/// What the text of a table says, but for its rows.
#[derive(Debug)]
pub(crate) struct ReadTable {
    pub(crate) columns: Vec<String>,
    /// What the values of each column are, in W&B's words; none where it isn't said.
    pub(crate) kinds: Vec<Option<String>>,
    pub(crate) rows: List,
}

pub(crate) fn table(text: &str) -> Result<ReadTable> {
    let found = scan::with_list(text, "data")?;
    let value = Value::Object(found.others);
    let map = of_type(&value, "table")?;
    if given(map, "log_mode").is_some_and(|mode| mode == "INCREMENTAL") {
        return Err(
            "its log_mode is INCREMENTAL, so its rows are spread over several artifacts, which \
             isn't read: log it as IMMUTABLE or MUTABLE"
                .into(),
        );
    }
    let columns = given(map, "columns").and_then(Value::as_array);
    let columns = columns.ok_or("it has no list as columns")?.iter();
    let columns: Vec<String> = columns.map(column_name).collect::<Result<_>>()?;
    let types = map.get("column_types");
    let types = types.and_then(|types| types.get("params")?.get("type_map"));
    let kinds = columns
        .iter()
        .map(|name| column_kind(name, types?.get(name)?).transpose());
    Ok(ReadTable {
        kinds: kinds.map(Option::transpose).collect::<Result<_>>()?,
        columns,
        rows: found.list.ok_or("it has no list as data")?,
    })
}

/// The SDK takes numbers for names too.
fn column_name(value: &Value) -> Result<String> {
    match value {
        Value::String(name) => Ok(name.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(format!(
            "the name of a column is {}, but a text was expected",
            shown(other)
        )),
    }
}

/// What the values of a column are, those that are there.
fn column_kind(name: &str, column: &Value) -> Result<Option<String>> {
    let allowed = column.get("params").and_then(|it| it.get("allowed_types"));
    let allowed = allowed.and_then(Value::as_array);
    let kinds = allowed.map_or(std::slice::from_ref(column), Vec::as_slice);
    let is_elsewhere = |kind: &&Value| {
        let stored = kind
            .get("params")
            .and_then(|it| it.get("serialization_path"));
        stored.is_some_and(|stored| !stored.is_null())
    };
    if kinds.iter().any(|kind| is_elsewhere(&kind)) {
        return Err(format!(
            "the arrays of its column {:?} lie in a file of NumPy's, which isn't read: log them as \
             lists",
            beginning(name)
        ));
    }
    let mut names = kinds
        .iter()
        .filter_map(|kind| kind.get("wb_type")?.as_str());
    Ok(names.find(|name| *name != "none").map(Into::into))
}

/// The values of a row.
pub(crate) fn row(text: &str, columns: usize) -> Result<Vec<Value>> {
    match scan::parse(text)? {
        Value::Array(values) if values.len() == columns => Ok(values),
        Value::Array(values) => Err(format!(
            "it has {} values, but the table has {columns} columns",
            values.len()
        )),
        other => Err(format!("it is {}, but a list was expected", shown(&other))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn boxed(one: Value) -> Value {
        json!({"_type": "image-file", "path": "a.png", "boxes": {"p": [one]}})
    }

    #[test]
    fn what_is_left_out_or_null_is_none() {
        let read = image(
            &json!({"_type": "image-file", "path": "a.png", "caption": null,
            "grouping": null, "classes": null, "boxes": null, "masks": {"m": null}}),
        );
        let read = read.unwrap();
        let named = Named {
            path: "a.png".into(),
            hash: None,
        };
        assert_eq!(
            (read.picture, read.caption, read.grouping),
            (named, None, None)
        );
        assert!(read.classes.is_none() && read.boxes.is_empty() && read.masks.is_empty());
    }

    #[test]
    fn the_hash_of_a_reference_is_not_that_of_its_file() {
        let hash = |json: Value| image(&json).unwrap().picture.hash;
        let reference = json!({"_type": "image-file", "path": "a.png", "sha256": "ab"});
        assert_eq!(hash(reference.clone()), None);
        let mut here = reference;
        here["width"] = json!(3);
        assert_eq!(hash(here), Some("ab".into()));
    }

    #[test]
    fn numbers_are_whole_in_every_form() {
        let check = |value: Value, expected: Option<i64>| {
            assert_eq!(whole(&value), expected, "{value}");
        };
        check(json!(7), Some(7));
        check(json!(-7.0), Some(-7));
        check(json!(" 7"), Some(7));
        check(json!(7.5), None);
        check(json!(1e300), None);
        check(json!(u64::MAX), None);
        check(json!("seven"), None);
        check(json!(true), None);
        check(json!(null), None);
    }

    #[test]
    fn boxes_are_read_in_both_forms() {
        let corners = json!({"class_id": "3", "domain": null, "box_caption": null, "scores": null,
            "position": {"minX": 0, "minY": 0.5, "maxX": 1, "maxY": 1}});
        let read = image(&boxed(corners)).unwrap();
        let expected = BoundingBox::new(Domain::Fraction, Position::corners(0.0, 0.5, 1.0, 1.0), 3);
        assert_eq!(read.boxes, [("p".to_owned(), vec![expected])]);
        let middle = json!({"class_id": 3.0, "domain": "pixel", "box_caption": "c",
            "scores": {"s": 1}, "position": {"middle": [1, 2], "width": 3, "height": 4}});
        let read = image(&boxed(middle)).unwrap();
        let expected = BoundingBox::new(Domain::Pixel, Position::middle(1.0, 2.0, 3.0, 4.0), 3);
        let expected = expected.caption("c").score("s", 1.0);
        assert_eq!(read.boxes, [("p".to_owned(), vec![expected])]);
    }

    #[test]
    fn what_is_no_image_is_named() {
        let check = |value: Value, expected: &str| {
            assert_eq!(image(&value).unwrap_err(), expected);
        };
        check(json!([]), "it is a list, but a map was expected");
        check(
            json!({"path": "a.png"}),
            "it has no _type, but \"image-file\" was expected",
        );
        check(
            json!({"_type": "audio-file"}),
            "its _type is \"audio-file\", but \"image-file\" was expected",
        );
        check(json!({"_type": "image-file"}), "it has no path of a file");
        let with = |key: &str, value: Value| {
            let mut image = json!({"_type": "image-file", "path": "a.png"});
            image[key] = value;
            image
        };
        check(
            with("path", json!(7)),
            "its path is 7, but a text was expected",
        );
        check(
            with("caption", json!([])),
            "its caption is a list, but a text was expected",
        );
        check(
            with("grouping", json!(0.5)),
            "its grouping is 0.5, but a whole number was expected",
        );
        check(
            with("classes", json!({"digest": "x"})),
            "of its classes, it has no path of a file",
        );
        check(
            with("masks", json!({"m": {}})),
            "masks \"m\": it has no path of a file",
        );
        check(
            with("boxes", json!({"p": {"path": "b.json"}})),
            "boxes \"p\": they are a map, but an artifact has a list of boxes",
        );
    }

    #[test]
    fn what_is_no_box_is_named() {
        let whole =
            json!({"class_id": 1, "position": {"minX": 0, "minY": 0, "maxX": 1, "maxY": 1}});
        let check = |key: &str, value: Value, expected: &str| {
            let mut one = whole.clone();
            one[key] = value;
            let reason = image(&boxed(one)).unwrap_err();
            assert_eq!(reason, format!("boxes \"p\": box 0: {expected}"));
        };
        check("class_id", Value::Null, "it has no class_id");
        check(
            "class_id",
            json!("cat"),
            "its class_id is the text \"cat\", but a whole number of 64 bits was expected",
        );
        check("position", Value::Null, "it has no position");
        check(
            "position",
            json!({"minX": 0, "minY": 0, "maxX": 1}),
            "its position has no maxY, but either minX, minY, maxX and maxY or middle, width and \
             height were expected",
        );
        check(
            "position",
            json!({"middle": [1], "width": 1, "height": 1}),
            "its middle is a list, but a list of two numbers was expected",
        );
        check(
            "position",
            json!({"middle": [1, 2], "width": "1", "height": 1}),
            "its width is the text \"1\", but a number was expected",
        );
        check(
            "domain",
            json!("percent"),
            "its domain is the text \"percent\", but \"pixel\", or none for fractions, was expected",
        );
        check(
            "scores",
            json!({"s": "high"}),
            "its score \"s\" is the text \"high\", but a number was expected",
        );
    }

    #[test]
    fn classes_have_ids_that_are_numbers() {
        let read = classes(
            r#"{"_type": "classes", "class_set": [{"id": "7", "name": "cat"}, {"id": 1.0, "name": ""},
            {"id": 7, "name": "dog"}]}"#,
        );
        assert_eq!(read.unwrap(), Classes::of_distinct([(7, "dog"), (1, "")]));
        let refused = |set: &str, expected: &str| {
            let text = format!(r#"{{"_type": "classes", "class_set": {set}}}"#);
            assert_eq!(classes(&text).unwrap_err(), expected);
        };
        refused("null", "it has no list as class_set");
        refused("[1]", "a class is 1, but a map was expected");
        refused("[{}]", "a class has no id");
        refused(
            r#"[{"id": "cat", "name": "cat"}]"#,
            "the id of a class is the text \"cat\", but a whole number of 64 bits was expected, \
             which masks and boxes have",
        );
        refused(
            r#"[{"id": 3, "name": 3}]"#,
            "class 3: its name is 3, but a text was expected",
        );
    }

    #[test]
    fn tables_that_are_elsewhere_are_refused() {
        let of = |column: &str, mode: &str| {
            let text = format!(
                r#"{{"_type": "table", "columns": ["a", 1], "data": [[1, 2]], "log_mode": "{mode}",
                "column_types": {{"wb_type": "typedDict", "params": {{"type_map": {{"a": {column}}}}}}}}}"#
            );
            table(&text)
        };
        let number = r#"{"wb_type": "union", "params": {"allowed_types": [{"wb_type": "none"}, {"wb_type": "number"}]}}"#;
        let read = of(number, "MUTABLE").unwrap();
        assert_eq!(read.columns, ["a", "1"]);
        assert_eq!(read.kinds, [Some("number".to_owned()), None]);
        assert_eq!(read.rows.len, 1);
        let error = of(number, "INCREMENTAL").unwrap_err();
        assert!(error.contains("several artifacts"), "{error}");
        let array =
            r#"{"wb_type": "ndarray", "params": {"shape": [2], "serialization_path": null}}"#;
        assert_eq!(
            of(array, "IMMUTABLE").unwrap().kinds[0].as_deref(),
            Some("ndarray")
        );
        let error = of(
            &array.replace("null", r#"{"path": "x.npz", "key": "a"}"#),
            "IMMUTABLE",
        );
        let error = error.unwrap_err();
        assert!(
            error.contains("column \"a\" lie in a file of NumPy's"),
            "{error}"
        );
    }
}
