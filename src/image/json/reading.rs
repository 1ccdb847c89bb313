//! The JSON files of artifacts, read back: those of this crate and those of the Python SDK.

use serde_json::{Map, Value};

use super::artifact::IMAGE_TYPE;
use crate::error::beginning;
use crate::image::boxes::{self, BoundingBox, Domain, Position};
use crate::image::classes::Classes;
use crate::image::left_out::{Kind, LeftOut, Tally};
use crate::value::scan::{self, List};
use crate::value::tokens::{self, text_of_marked};

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
    pub(crate) left_out: LeftOut,
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
    let mut left_out = LeftOut::default();
    Ok(ReadImage {
        picture: picture(map)?,
        caption: given(map, "caption").map(words),
        grouping: given(map, "grouping").and_then(|value| grouping(value, &mut left_out)),
        classes: given(map, "classes").map(named_classes).transpose()?,
        boxes: layers(map, "boxes", |key, boxes| {
            all_boxes(key, boxes, &mut left_out)
        })?,
        masks: layers(map, "masks", |_, mask| {
            named(object(mask, "a mask")?, "sha256")
        })?,
        left_out,
    })
}

fn grouping(value: &Value, left_out: &mut LeftOut) -> Option<i64> {
    let group = whole(value);
    if group.is_none() {
        let reason = format!("it is {}, which is no whole number", shown(value));
        left_out.add(Kind::Grouping, "", reason);
    }
    group
}

/// What is there under a key, and isn't null.
fn given<'v>(map: &'v Map<String, Value>, key: &str) -> Option<&'v Value> {
    map.get(key).filter(|value| !value.is_null())
}

fn of_type<'v>(value: &'v Value, expected: &str) -> Result<&'v Map<String, Value>> {
    let map = object(value, "it")?;
    match map.get("_type").and_then(tokens::text) {
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
        Value::String(_) if tokens::number(value).is_some() => text_of_marked(value),
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
        let text = tokens::text(value).ok_or_else(|| no(key, value, "a text"));
        text.map(Into::into)
    };
    given(map, key).map(text).transpose()
}

/// What somebody reads: of what is no text, its JSON. The SDK takes anything for a caption or a
/// name.
fn words(value: &Value) -> String {
    tokens::text(value).map_or_else(|| text_of_marked(value), Into::into)
}

/// A number as Python has it: the truth values are 0 and 1.
fn number(value: &Value) -> Option<f64> {
    let of_truth = || value.as_bool().map(|truth| f64::from(u8::from(truth)));
    tokens::number(value).or_else(of_truth)
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
        Value::Bool(truth) => Some((*truth).into()),
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
    mut read: impl FnMut(&str, &Value) -> Result<T>,
) -> Result<Vec<(String, T)>> {
    let Some(layers) = given(map, kind) else {
        return Ok(Vec::new());
    };
    let layers = object(layers, &format!("what it has as {kind}"))?.iter();
    let layers = layers.filter(|(_, layer)| !layer.is_null());
    layers
        .map(|(key, layer)| {
            let layer = read(key, layer);
            let of_layer = |reason| format!("{kind} {:?}: {reason}", beginning(key));
            Ok((key.clone(), layer.map_err(of_layer)?))
        })
        .collect()
}

/// The boxes that can be drawn, with the scores that can be shown.
fn all_boxes(key: &str, value: &Value, left_out: &mut LeftOut) -> Result<Vec<BoundingBox>> {
    let Some(boxes) = value.as_array() else {
        return Err(format!(
            "they are {}, but an artifact has a list of boxes",
            shown(value)
        ));
    };
    let (mut undrawn, mut unshown) = (Tally::default(), Tally::default());
    let boxes = boxes.iter().enumerate();
    let drawn = boxes.filter_map(|(index, value)| match one_box(value) {
        Ok(one) => Some(scored(one, value, &mut |reason| {
            unshown.add(|| format!("box {index}: {reason}"));
        })),
        Err(reason) => {
            undrawn.add(|| format!("box {index}: {reason}"));
            None
        }
    });
    let drawn = drawn.collect();
    left_out.add_all(Kind::Box, key, undrawn);
    left_out.add_all(Kind::Score, key, unshown);
    Ok(drawn)
}

/// Without its scores.
fn one_box(value: &Value) -> Result<BoundingBox> {
    let map = object(value, "it")?;
    let class_id = given(map, "class_id").ok_or("it has no class_id")?;
    let class_id =
        whole(class_id).ok_or_else(|| no("class_id", class_id, "a whole number of 64 bits"))?;
    let position = given(map, "position").ok_or("it has no position")?;
    let position = position_of(object(position, "its position")?)?;
    let mut one = BoundingBox::new(domain(map)?, position, class_id);
    if let Some(caption) = given(map, "box_caption") {
        one = one.caption(words(caption));
    }
    match boxes::check(&one) {
        Ok(()) => Ok(one),
        Err(unfit) => Err(format!("it {}", unfit.fact)),
    }
}

/// The box with those of its scores that W&B shows; why it doesn't show the others.
fn scored(mut one: BoundingBox, value: &Value, unshown: &mut dyn FnMut(String)) -> BoundingBox {
    let scores = match value.get("scores") {
        None | Some(Value::Null) => return one,
        Some(scores) => object(scores, "what it has as scores"),
    };
    match scores {
        Err(reason) => unshown(reason),
        Ok(scores) => {
            for (name, score) in scores {
                match shown_score(name, score) {
                    Ok(score) => one = one.score(name, score),
                    Err(reason) => unshown(reason),
                }
            }
        }
    }
    one
}

fn shown_score(name: &str, value: &Value) -> Result<f64> {
    let expected = || no(&format!("score {:?}", beginning(name)), value, "a number");
    let score = number(value).ok_or_else(expected)?;
    match boxes::check_score(name, score) {
        Ok(()) => Ok(score),
        Err(unfit) => Err(format!("it {}", unfit.fact)),
    }
}

fn domain(map: &Map<String, Value>) -> Result<Domain> {
    match given(map, "domain") {
        None => Ok(Domain::Fraction),
        Some(domain) if domain == "pixel" => Ok(Domain::Pixel),
        Some(other) => Err(no("domain", other, "\"pixel\", or none for fractions,")),
    }
}

/// By its middle, else by its corners, where it has both.
fn position_of(map: &Map<String, Value>) -> Result<Position> {
    let centred = given(map, "middle").map(|middle| centred(map, middle));
    match centred {
        None => corners(map),
        Some(centred) => centred.or_else(|reason| corners(map).map_err(|_| reason)),
    }
}

fn centred(map: &Map<String, Value>, middle: &Value) -> Result<Position> {
    let coordinates = middle.as_array().map_or(&[][..], Vec::as_slice);
    let coordinates: Vec<_> = coordinates.iter().map(number).collect();
    match coordinates[..] {
        [Some(x), Some(y)] => Ok(Position::middle(
            x,
            y,
            side(map, "width")?,
            side(map, "height")?,
        )),
        _ => Err(no("middle", middle, "a list of two numbers")),
    }
}

fn corners(map: &Map<String, Value>) -> Result<Position> {
    let [min_x, min_y] = [side(map, "minX")?, side(map, "minY")?];
    let [max_x, max_y] = [side(map, "maxX")?, side(map, "maxY")?];
    Ok(Position::corners(min_x, min_y, max_x, max_y))
}

fn side(map: &Map<String, Value>, key: &str) -> Result<f64> {
    let value = given(map, key).ok_or_else(|| {
        format!(
            "its position has no {key}, but either minX, minY, maxX and maxY or middle, width and \
             height were expected"
        )
    })?;
    number(value).ok_or_else(|| no(key, value, "a number"))
}

/// The classes of a file of them, and those that masks and boxes can't have. Of two names of an id
/// the last holds, as in the Python SDK.
pub(crate) fn classes(text: &str) -> Result<(Classes, Tally)> {
    let value = scan::parse(text)?;
    let map = of_type(&value, "classes")?;
    let set = given(map, "class_set").and_then(Value::as_array);
    let set = set.ok_or("it has no list as class_set")?;
    let mut unnamed = Tally::default();
    let mut named = Vec::new();
    for one in set {
        match one_class(object(one, "a class")?) {
            Ok(class) => named.push(class),
            Err(reason) => unnamed.add(|| reason),
        }
    }
    let named = named.iter().map(|(id, name)| (*id, &**name));
    Ok((Classes::of_distinct(named), unnamed))
}

fn one_class(map: &Map<String, Value>) -> Result<(i64, String)> {
    let id = given(map, "id").ok_or("it has no id")?;
    let id = whole(id).ok_or_else(|| {
        format!(
            "its id is {}, but masks and boxes have whole numbers of 64 bits",
            shown(id)
        )
    })?;
    let name = given(map, "name").ok_or_else(|| format!("class {id} has no name"))?;
    Ok((id, words(name)))
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
        Value::String(_) | Value::Number(_) => Ok(words(value)),
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
        .filter_map(|kind| tokens::text(kind.get("wb_type")?));
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
        check(json!(true), Some(1));
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
    fn what_is_no_box_is_left_out_and_named() {
        let whole =
            json!({"class_id": 1, "position": {"minX": 0, "minY": 0, "maxX": 1, "maxY": 1}});
        let check = |key: &str, value: Value, expected: &str| {
            let mut one = whole.clone();
            one[key] = value;
            let read = image(&boxed(one)).unwrap();
            assert_eq!(read.boxes, [("p".to_owned(), vec![])]);
            let lines: Vec<_> = read.left_out.lines().collect();
            assert_eq!(lines, [format!("a box of \"p\": box 0: {expected}")]);
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
    }

    #[test]
    fn a_score_that_is_none_costs_no_box() {
        let mut one = json!({"class_id": true, "scores": {"sure": true},
            "position": {"minX": false, "minY": 0, "maxX": 1, "maxY": true}});
        let expected = BoundingBox::new(Domain::Fraction, Position::corners(0.0, 0.0, 1.0, 1.0), 1);
        let expected = expected.score("sure", 1.0);
        let read = image(&boxed(one.clone())).unwrap();
        assert_eq!(read.boxes, [("p".to_owned(), vec![expected.clone()])]);
        assert_eq!(read.left_out.count(), 0);
        let mut check = |scores: &str, line: &str| {
            one["scores"] = "@".into();
            let json = boxed(one.clone()).to_string().replace("\"@\"", scores);
            let read = image(&scan::parse(&json).unwrap()).unwrap();
            let unscored = BoundingBox::new(Domain::Fraction, expected.position(), 1);
            let kept = if scores.contains("sure") {
                expected.clone()
            } else {
                unscored
            };
            assert_eq!(read.boxes, [("p".to_owned(), vec![kept])]);
            assert!(read.left_out.lines().eq([line]), "{:?}", read.left_out);
        };
        check(
            r#"{"s": "high", "sure": 1}"#,
            "a score of \"p\": box 0: its score \"s\" is the text \"high\", but a number was expected",
        );
        check(
            r#"{"s": NaN}"#,
            "a score of \"p\": box 0: it has a score \"s\" of NaN, but it must be finite",
        );
        check(
            r#"{"": 0.5, "s": -Infinity, "sure": 1}"#,
            "2 scores of \"p\", the first: box 0: it has a score without a name, by which W&B \
             shows it",
        );
        check(
            "[1]",
            "a score of \"p\": box 0: what it has as scores is a list, but a map was expected",
        );
    }

    #[test]
    fn the_boxes_that_a_layer_lacks_are_one_part_whatever_its_key() {
        for key in ["p".to_owned(), "k".repeat(61)] {
            let json = json!({"_type": "image-file", "path": "a", "boxes": {key: [7, {}, null]}});
            let read = image(&json).unwrap();
            assert_eq!(
                (read.left_out.count(), read.left_out.lines().count()),
                (3, 1)
            );
        }
    }

    #[test]
    fn a_box_may_have_its_corners_beside_a_middle_that_is_none() {
        let mut one =
            json!({"class_id": 1, "position": {"minX": 0, "minY": 0, "maxX": 1, "maxY": 1}});
        let whole = image(&boxed(one.clone())).unwrap().boxes;
        one["position"]["middle"] = json!([0.5, 0.5]);
        assert_eq!(image(&boxed(one)).unwrap().boxes, whole);
    }

    #[test]
    fn what_somebody_reads_may_be_of_any_kind() {
        let read = |json: &str| image(&scan::parse(json).unwrap()).unwrap();
        let captioned = |caption: &str| {
            let json = format!(r#"{{"_type": "image-file", "path": "a", "caption": {caption}}}"#);
            read(&json).caption.unwrap()
        };
        assert_eq!(captioned("7"), "7");
        assert_eq!(captioned("NaN"), "NaN");
        assert_eq!(captioned("-Infinity"), "-Infinity");
        assert_eq!(captioned(r#"["a", NaN]"#), r#"["a",NaN]"#);
        assert_eq!(captioned(r#""NaN""#), "NaN");
        let grouped = read(r#"{"_type": "image-file", "path": "a", "grouping": NaN}"#);
        assert_eq!(grouped.grouping, None);
        assert!(
            grouped
                .left_out
                .lines()
                .eq(["the grouping: it is NaN, which is no whole number"])
        );
        let path = scan::parse(r#"{"_type": "image-file", "path": NaN}"#).unwrap();
        assert_eq!(
            image(&path).unwrap_err(),
            "its path is NaN, but a text was expected"
        );
    }

    #[test]
    fn classes_have_ids_that_are_numbers() {
        let read = |set: &str| classes(&format!(r#"{{"_type": "classes", "class_set": {set}}}"#));
        let (all, unnamed) = read(
            r#"[{"id": "7", "name": "cat"}, {"id": 1.0, "name": ""}, {"id": 7, "name": 8},
            {"id": "cat", "name": "x"}, {}, {"id": 2}]"#,
        )
        .unwrap();
        assert_eq!(all, Classes::of_distinct([(7, "8"), (1, "")]));
        let mut left_out = LeftOut::default();
        left_out.add_all(Kind::Class, "", unnamed);
        let expected = "3 classes, the first: its id is the text \"cat\", but masks and boxes have \
                        whole numbers of 64 bits";
        assert!(left_out.lines().eq([expected]));
        assert_eq!(read("null").unwrap_err(), "it has no list as class_set");
        assert_eq!(
            read("[1]").unwrap_err(),
            "a class is 1, but a map was expected"
        );
    }

    #[test]
    fn a_column_may_be_called_by_a_number() {
        let text = r#"{"_type": "table", "columns": [7, NaN, 0.5], "data": []}"#;
        assert_eq!(table(text).unwrap().columns, ["7", "NaN", "0.5"]);
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
