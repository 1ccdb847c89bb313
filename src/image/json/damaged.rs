//! What is needed to check and to mend a run: the class labels that layers need, and values
//! without the files that are gone.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{NamedFile, WANDB, full_key, named_by_list, named_by_one};

/// Where W&B keeps the names of classes: in its part of the config, by the kind of the layer.
const LABELS: [(&str, [&str; 2]); 2] = [
    ("mask/class_labels", ["masks", "all_masks"]),
    ("bounding_box/class_labels", ["boxes", "all_boxes"]),
];

/// The names of classes that W&B needs to draw a layer: their place in the config.
///
/// `key` is that of the image, under which `file` was found.
pub(crate) fn label_key(key: &str, file: &NamedFile) -> Option<[String; 2]> {
    let way = file.key.strip_prefix(key)?.strip_prefix('.')?;
    LABELS.iter().find_map(|(kind, folders)| {
        let (folder, layer) = way.split_once('.')?;
        let found = folders.contains(&folder);
        found.then(|| [kind.to_string(), full_key(key, layer)])
    })
}

/// Whether masks or boxes are named by a picture's value, or a list's.
pub(super) fn has_layers(map: &Map<String, Value>) -> bool {
    let mut folders = LABELS.iter().flat_map(|(_, folders)| folders);
    folders.any(|folder| map.contains_key(*folder))
}

/// The names of classes that a config has, as [`label_key`] gives their places.
pub(crate) fn label_keys(config: &Value) -> Vec<[String; 2]> {
    let of_kind = |(kind, _): &(&str, _)| {
        let labels = config.get(WANDB).and_then(|own| own.get(kind));
        let labels = labels.and_then(Value::as_object).into_iter().flatten();
        let keys = labels.map(|(full_key, _)| [kind.to_string(), full_key.clone()]);
        keys.collect::<Vec<_>>()
    };
    LABELS.iter().flat_map(of_kind).collect()
}

/// The keys from the top down to a value. Values beside each other share them.
pub(crate) type Way = Vec<Arc<str>>;

/// A change of a value: at the end of this way stands another value, or nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Edit {
    pub(crate) path: Way,
    pub(crate) value: Option<Value>,
}

/// Tells whether a file is not there as a value names it.
type IsGone<'a> = &'a dyn Fn(&NamedFile) -> bool;

/// What takes images, layers and other media whose files are gone out of a value.
///
/// Of a list of images those that are there stay, each with its caption, masks and boxes.
pub(crate) fn without(key: &str, value: &Value, is_gone: IsGone) -> Vec<Edit> {
    let mut edits = Vec::new();
    collect(&mut vec![key.into()], value, is_gone, &mut edits);
    edits
}

fn collect(path: &mut Way, value: &Value, is_gone: IsGone, edits: &mut Vec<Edit>) {
    let mut edit = |value| {
        let path = path.clone();
        edits.push(Edit { path, value });
    };
    match value {
        Value::Object(map) if is_one_gone(map, is_gone) => edit(None),
        Value::Object(map) if is_list(map) => match list_without(map, is_gone) {
            None => edit(None),
            Some(list) => changed(path, map, &list, edits),
        },
        Value::Object(map) => {
            for (name, child) in map {
                path.push(name.as_str().into());
                collect(path, child, is_gone, edits);
                path.pop();
            }
        }
        other => {
            let kept = pruned(other, is_gone).unwrap_or(Value::Null);
            if kept != *other {
                edit(Some(kept));
            }
        }
    }
}

fn changed(
    path: &[Arc<str>],
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    edits: &mut Vec<Edit>,
) {
    for (name, value) in old {
        let kept = new.get(name);
        if kept != Some(value) {
            let path = [path, &[name.as_str().into()]].concat();
            let value = kept.cloned();
            edits.push(Edit { path, value });
        }
    }
}

fn is_one_gone(map: &Map<String, Value>, is_gone: IsGone) -> bool {
    named_by_one("", map).is_some_and(|file| is_gone(&file))
}

fn is_list(map: &Map<String, Value>) -> bool {
    map.get("filenames").is_some_and(Value::is_array)
}

/// The list with the images that are there; none where there is none.
fn list_without(map: &Map<String, Value>, is_gone: IsGone) -> Option<Map<String, Value>> {
    let mut named = named_by_list("", map);
    let mut stays = |path: &Value| !path.is_string() || named.next().is_none_or(|f| !is_gone(&f));
    let paths = map.get("filenames").and_then(Value::as_array);
    let stays: Vec<bool> = paths.into_iter().flatten().map(&mut stays).collect();
    if !stays.contains(&true) && !stays.is_empty() {
        return None;
    }
    let of_list = |value: &Value| match value {
        Value::Array(values) if values.len() == stays.len() => {
            let kept = values.iter().zip(&stays).filter(|(_, stays)| **stays);
            let kept = kept.map(|(value, _)| pruned(value, is_gone).unwrap_or(Value::Null));
            Some(Value::Array(kept.collect()))
        }
        other => pruned(other, is_gone),
    };
    let kept = map.iter().filter_map(|(name, value)| {
        let value = of_list(value)?;
        Some((name.clone(), value))
    });
    let mut list: Map<_, _> = kept.collect();
    let count = stays.iter().filter(|stays| **stays).count();
    if let Some(old) = list.get_mut("count").filter(|_| count < stays.len()) {
        *old = count.into();
    }
    Some(list)
}

/// The value without what is gone in it; none where it is gone itself.
fn pruned(value: &Value, is_gone: IsGone) -> Option<Value> {
    match value {
        Value::Object(map) if is_one_gone(map, is_gone) => None,
        Value::Object(map) if is_list(map) => list_without(map, is_gone).map(Value::Object),
        Value::Object(map) => {
            let kept = map.iter().filter_map(|(name, child)| {
                let child = pruned(child, is_gone)?;
                Some((name.clone(), child))
            });
            let kept: Map<_, _> = kept.collect();
            (!kept.is_empty() || map.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(values) => {
            let kept = values.iter().filter_map(|value| pruned(value, is_gone));
            Some(Value::Array(kept.collect()))
        }
        other => Some(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(value: &Value, gone: &str, expected: &[(&[&str], Option<Value>)]) {
        let edits = without("k", value, &|file| file.path == gone);
        let edits: Vec<_> = edits
            .iter()
            .map(|edit| {
                (
                    edit.path.iter().map(|part| &**part).collect(),
                    edit.value.clone(),
                )
            })
            .collect();
        let expected: Vec<(Vec<&str>, _)> = expected
            .iter()
            .map(|(path, value)| (path.to_vec(), value.clone()))
            .collect();
        assert_eq!(edits, expected, "{gone} out of {value}");
    }

    #[test]
    fn what_is_gone_is_taken_out() {
        let mask = |path: &str| json!({"_type": "mask", "path": path});
        let image = json!({
            "_type": "image-file", "path": "a.png", "masks": {"m": mask("m.png"), "n": mask("n.png")},
        });
        check(&image, "other", &[]);
        check(&image, "a.png", &[(&["k"], None)]);
        check(&image, "m.png", &[(&["k", "masks", "m"], None)]);
        let nested = json!({"x": 1, "deep": {"image": image}});
        check(&nested, "a.png", &[(&["k", "deep", "image"], None)]);
        check(&json!([image, 1]), "a.png", &[(&["k"], Some(json!([1])))]);
    }

    #[test]
    fn a_list_keeps_what_is_there() {
        let mask = |path: &str| json!({"m": {"_type": "mask", "path": path}});
        let list = json!({
            "_type": "images/separated", "count": 3, "filenames": ["a", "b", "c"],
            "captions": ["1", null, "3"], "all_masks": [mask("x"), null, mask("z")],
        });
        check(
            &list,
            "a",
            &[
                (&["k", "all_masks"], Some(json!([null, mask("z")]))),
                (&["k", "captions"], Some(json!([null, "3"]))),
                (&["k", "count"], Some(json!(2))),
                (&["k", "filenames"], Some(json!(["b", "c"]))),
            ],
        );
        let masks = json!([mask("x"), null, null]);
        check(&list, "z", &[(&["k", "all_masks"], Some(masks))]);
        let one = json!({"_type": "images/separated", "count": 1, "filenames": ["a"]});
        check(&one, "a", &[(&["k"], None)]);
    }

    #[test]
    fn labels_are_found_by_the_keys_of_image_and_layer() {
        let found = |way: &str| {
            let value = json!({"_type": "mask", "path": "p"});
            let value = way
                .rsplit('.')
                .fold(value, |value, key| json!({key: value}));
            let mut label = None;
            super::super::each_named("a.b", &value, &mut |file| label = label_key("a.b", &file));
            label
        };
        let mask = ["mask/class_labels", "a.b_wandb_delimeter_m"].map(String::from);
        assert_eq!(found("masks.m"), Some(mask.clone()));
        assert_eq!(found("all_masks.m"), Some(mask.clone()));
        assert_eq!(found("other.m"), None);
        let config =
            json!({"_wandb": {"mask/class_labels": {"a.b_wandb_delimeter_m": {}}}, "x": 1});
        assert_eq!(label_keys(&config), [mask]);
    }
}
