//! The names of classes that the run's config holds, for each layer of each key.

use std::collections::BTreeMap;

use super::row::Prepared;
use crate::image::LayerKind;
use crate::image::classes::Classes;
use crate::image::json;

/// A layer: what it is, and what the config calls it.
pub(super) type LayerId = (LayerKind, String);

/// What each layer's classes are called. Names add up over the rows: a class that one row lacks
/// keeps its name, and of the names that were given the last one holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels(BTreeMap<LayerId, Classes>);

impl Labels {
    /// The names that the config of a run holds that goes on.
    pub(super) fn resumed(on_disk: BTreeMap<LayerId, Classes>) -> Self {
        Self(on_disk)
    }

    /// The layers whose names change with a row, with all their names.
    pub(super) fn changed_by(
        &self,
        row: &BTreeMap<String, Prepared>,
    ) -> BTreeMap<LayerId, Classes> {
        let mut changed = BTreeMap::new();
        for (key, value) in row {
            for layer in value.images().iter().flat_map(|image| &image.layers) {
                let id = (layer.kind, json::full_key(key, &layer.key));
                let none = Classes::default();
                let known = changed.get(&id).or_else(|| self.0.get(&id));
                if let Some(all) = layer.names.added_to(known.unwrap_or(&none)) {
                    changed.insert(id, all);
                }
            }
        }
        changed
    }

    /// These are on disk.
    pub(super) fn keep(&mut self, changed: BTreeMap<LayerId, Classes>) {
        self.0.extend(changed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::{PreparedImage, PreparedLayer};
    use super::*;
    use crate::image::{Names, Noticed};
    use crate::sink::MediaKey;

    type Named<'n> = (&'n str, &'n str, &'n [(i64, &'n str)]);

    fn image(layer: &str, names: &[(i64, &str)]) -> PreparedImage {
        let names = Classes::new(names.iter().copied()).unwrap();
        named(layer, Names::Given(names))
    }

    fn numbered(layer: &str, ids: impl IntoIterator<Item = i64>) -> PreparedImage {
        named(layer, Names::Numbered(ids.into_iter().collect()))
    }

    fn named(layer: &str, names: Names) -> PreparedImage {
        let layer = PreparedLayer {
            kind: LayerKind::Mask,
            key: layer.into(),
            bytes: std::sync::Arc::default(),
            sha256: String::new(),
            names,
        };
        PreparedImage {
            bytes: std::sync::Arc::default(),
            sha256: String::new(),
            format: "png",
            width: 1,
            height: 1,
            caption: None,
            grouping: None,
            layers: vec![layer],
            noticed: Noticed::default(),
        }
    }

    fn row(key: &str, images: Vec<PreparedImage>) -> BTreeMap<String, Prepared> {
        let media_key = MediaKey::new(key).unwrap();
        [(key.into(), Prepared::Images(media_key, images))].into()
    }

    fn check(labels: &mut Labels, row: &BTreeMap<String, Prepared>, expected: &[Named<'_>]) {
        let changed = labels.changed_by(row);
        let expected = expected.iter().map(|(key, layer, names)| {
            let id = (LayerKind::Mask, json::full_key(key, layer));
            (id, Classes::new(names.iter().copied()).unwrap())
        });
        assert_eq!(changed, expected.collect());
        labels.keep(changed);
    }

    #[test]
    fn names_add_up_and_only_changes_are_told() {
        let mut labels = Labels::default();
        let first = || image("m", &[(0, "sky")]);
        check(
            &mut labels,
            &row("a", vec![first()]),
            &[("a", "m", &[(0, "sky")])],
        );
        check(&mut labels, &row("a", vec![first()]), &[]);
        let list = vec![image("m", &[(1, "sea")]), image("m", &[(2, "land")])];
        let all: &[_] = &[(0, "sky"), (1, "sea"), (2, "land")];
        check(&mut labels, &row("a", list), &[("a", "m", all)]);
        check(&mut labels, &row("a", vec![first()]), &[]);
        let renamed = row("a", vec![image("m", &[(0, "air")])]);
        let all: &[_] = &[(0, "air"), (1, "sea"), (2, "land")];
        check(&mut labels, &renamed, &[("a", "m", all)]);
    }

    #[test]
    fn a_number_replaces_no_name_and_a_name_every_number() {
        let mut labels = Labels::default();
        let row = |images| row("a", images);
        let numbers: &[_] = &[(0, "class_0"), (1, "class_1")];
        check(
            &mut labels,
            &row(vec![numbered("m", 0..2)]),
            &[("a", "m", numbers)],
        );
        let names: &[_] = &[(0, "sky"), (1, "class_1"), (2, "class_2")];
        let list = vec![image("m", &[(0, "sky")]), numbered("m", 0..3)];
        check(&mut labels, &row(list), &[("a", "m", names)]);
        check(&mut labels, &row(vec![numbered("m", 0..3)]), &[]);
    }

    #[test]
    fn a_layer_of_the_same_name_under_another_key_has_names_of_its_own() {
        let mut labels = Labels::default();
        check(
            &mut labels,
            &row("a", vec![image("m", &[(0, "sky")])]),
            &[("a", "m", &[(0, "sky")])],
        );
        check(
            &mut labels,
            &row("b", vec![image("m", &[(0, "cat")])]),
            &[("b", "m", &[(0, "cat")])],
        );
    }
}
