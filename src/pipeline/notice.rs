//! What was noticed of pictures: said once per key, added up for the end.

use std::collections::BTreeMap;

use super::row::{Prepared, PreparedImage};
use crate::error::counted_as;
use crate::image::{LayersNoticed, Noticed};
use crate::pixels::{Observed, told as number};

#[derive(Debug, Default)]
pub(super) struct Notices {
    keys: BTreeMap<String, Tally>,
}

/// What was noticed under one key so far.
#[derive(Debug, Default)]
struct Tally {
    images: u64,
    nan: u64,
    infinite: u64,
    outside: u64,
    alpha_dropped: u64,
    layers: LayersNoticed,
    said_values: bool,
    said_flat: bool,
    said_alpha: bool,
    said_layers: bool,
    said_sizes: bool,
}

impl Notices {
    /// Takes note of a row, and returns what is to be said of it.
    pub(super) fn observe(&mut self, row: &BTreeMap<String, Prepared>) -> Vec<String> {
        let mut sayings = Vec::new();
        for (key, value) in row.iter().filter(|(_, value)| !value.images().is_empty()) {
            let tally = self.keys.entry(key.clone()).or_default();
            for image in value.images() {
                tally.images += 1;
                tally.observe(key, &image.noticed, image.format, &mut sayings);
            }
            let sizes = of_sizes(key, value.images());
            sayings.extend(once(&mut tally.said_sizes, sizes));
        }
        let tables = row
            .iter()
            .filter_map(|(key, value)| Some((key, value.table()?)));
        for (key, table) in tables.filter(|(_, table)| table.seen.images > 0) {
            let tally = self.keys.entry(key.clone()).or_default();
            tally.images += table.seen.images;
            for (noticed, format) in &table.seen.noticed {
                tally.observe(key, noticed, format, &mut sayings);
            }
        }
        sayings
    }

    /// The totals of each key under which something was noticed.
    pub(super) fn totals(&self) -> Vec<String> {
        let noticed = self.keys.iter().filter(|(_, tally)| tally.any());
        noticed.map(|(key, tally)| tally.total(key)).collect()
    }
}

impl Tally {
    fn observe(&mut self, key: &str, noticed: &Noticed, format: &str, sayings: &mut Vec<String>) {
        self.add(noticed);
        let seen = noticed.values.as_ref();
        let values = seen.and_then(|seen| of_values(key, seen));
        sayings.extend(once(&mut self.said_values, values));
        let flat = seen.and_then(|seen| of_one_value(key, seen));
        sayings.extend(once(&mut self.said_flat, flat));
        let alpha = noticed.alpha_dropped.then(|| of_alpha(key, format));
        sayings.extend(once(&mut self.said_alpha, alpha));
        let layers = of_layers(key, noticed.layers);
        sayings.extend(once(&mut self.said_layers, layers));
    }

    fn add(&mut self, noticed: &Noticed) {
        self.alpha_dropped += u64::from(noticed.alpha_dropped);
        self.layers.add(noticed.layers);
        if let Some(seen) = &noticed.values {
            self.nan += seen.nan;
            self.infinite += seen.infinite;
            self.outside += seen.outside;
        }
    }

    fn any(&self) -> bool {
        let values = self.nan + self.infinite + self.outside;
        values + self.alpha_dropped > 0 || self.layers.any()
    }

    fn total(&self, key: &str) -> String {
        let parts = [
            counted(self.outside, "value saturated", "values saturated"),
            counted(self.nan, "NaN became 0", "NaN became 0"),
            counted(
                self.infinite,
                "infinite value clamped",
                "infinite values clamped",
            ),
            counted(
                self.alpha_dropped,
                "image lost its alpha",
                "images lost their alpha",
            ),
        ];
        let parts = parts.into_iter().chain(layer_parts(self.layers));
        let images = counted(self.images, "image", "images").unwrap_or_default();
        format!("{key:?}, in all {images} logged: {}", joined(parts))
    }
}

/// The text, if there is one and this is the first time.
fn once(said: &mut bool, text: Option<String>) -> Option<String> {
    if text.is_some() && !std::mem::replace(said, true) {
        return text;
    }
    None
}

fn of_values(key: &str, seen: &Observed) -> Option<String> {
    let Observed { count, .. } = seen;
    let (low, high) = (number(seen.expected.0), number(seen.expected.1));
    let n = seen.outside;
    let outside = (n > 0).then(|| {
        format!("{n} of {count} lie outside the {low} to {high} that its rule expects and were saturated")
    });
    let nan = (seen.nan > 0).then(|| format!("{} of {count} are NaN and became 0", seen.nan));
    let infinite = (seen.infinite > 0)
        .then(|| format!("{} of {count} are infinite and were clamped", seen.infinite));
    let parts = [outside, nan, infinite];
    if parts.iter().all(Option::is_none) {
        return None;
    }
    let range = range(seen);
    Some(format!(
        "an image of {key:?} was made of {range}: {}; this is said once per key, with totals at \
         the end",
        joined(parts)
    ))
}

/// Of an image whose own range is its rule, and empty.
fn of_one_value(key: &str, seen: &Observed) -> Option<String> {
    let finite = seen.count - seen.nan - seen.infinite;
    let (low, high) = seen.expected;
    (finite > 1 && low == high).then(|| {
        format!(
            "an image of {key:?} is black: each of its values is {}, and the range from the least \
             to the greatest is empty; for a fixed range use Normalize::Unit or ValueRange; this \
             is said once per key",
            number(seen.min)
        )
    })
}

fn range(seen: &Observed) -> String {
    if seen.nan + seen.infinite >= seen.count {
        return "no finite value".into();
    }
    format!("values from {} to {}", number(seen.min), number(seen.max))
}

fn of_alpha(key: &str, format: &str) -> String {
    format!(
        "an image of {key:?} has transparency, which a {format} file can't hold: its alpha was \
         dropped; use FileType::Png to keep it"
    )
}

fn of_layers(key: &str, seen: LayersNoticed) -> Option<String> {
    seen.any().then(|| {
        format!(
            "over an image of {key:?}: {}; this is said once per key, with totals at the end",
            joined(layer_parts(seen))
        )
    })
}

fn layer_parts(seen: LayersNoticed) -> [Option<String>; 4] {
    [
        counted(
            seen.within_a_pixel.into(),
            "layer of boxes lies within one pixel (is it Domain::Fraction?)",
            "layers of boxes lie within one pixel (are they Domain::Fraction?)",
        ),
        counted(
            seen.skipped,
            "box that can't be drawn, or lies outside, was left out",
            "boxes that can't be drawn, or lie outside, were left out",
        ),
        counted(
            seen.unscored,
            "pixel of a mask had only NaN for scores and became class 0",
            "pixels of masks had only NaN for scores and became class 0",
        ),
        counted(
            seen.unread.into(),
            "layer could not be read from its artifact (Image::left_out says why)",
            "layers could not be read from their artifact (Image::left_out says why)",
        ),
    ]
}

fn of_sizes(key: &str, images: &[PreparedImage]) -> Option<String> {
    let (first, rest) = images.split_first()?;
    let other = rest.iter().find(|image| size(image) != size(first))?;
    let ((w, h), (other_w, other_h)) = (size(first), size(other));
    Some(format!(
        "the images listed as {key:?} differ in size ({w}×{h} and {other_w}×{other_h}), but W&B \
         draws a list at the size of its first image: give them one size, or black margins with \
         ImageList::pad_to_largest"
    ))
}

fn size(image: &PreparedImage) -> (u32, u32) {
    (image.width, image.height)
}

fn counted(n: u64, one: &str, many: &str) -> Option<String> {
    (n > 0).then(|| counted_as(n, one, many))
}

fn joined(parts: impl IntoIterator<Item = Option<String>>) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Noticed;
    use crate::sink::MediaKey;

    fn image((width, height): (u32, u32), values: Option<Observed>) -> PreparedImage {
        PreparedImage {
            bytes: std::sync::Arc::default(),
            sha256: String::new(),
            format: "png",
            width,
            height,
            caption: None,
            grouping: None,
            layers: Vec::new(),
            noticed: Noticed {
                values,
                ..Noticed::default()
            },
        }
    }

    fn row(images: Vec<PreparedImage>) -> BTreeMap<String, Prepared> {
        let key = MediaKey::new("k").unwrap();
        BTreeMap::from([("k".into(), Prepared::Images(key, images))])
    }

    fn seen(nan: u64, infinite: u64, outside: u64) -> Option<Observed> {
        Some(Observed {
            min: -0.5,
            max: 1.5,
            count: 9,
            nan,
            infinite,
            outside,
            expected: (0.0, 1.0),
        })
    }

    fn check(values: Option<Observed>, said: &[&str], totals: &[&str]) {
        let mut notices = Notices::default();
        assert_eq!(
            notices.observe(&row(vec![image((1, 1), values.clone())])),
            said
        );
        assert!(
            notices
                .observe(&row(vec![image((1, 1), values)]))
                .is_empty()
        );
        assert_eq!(notices.totals(), totals);
    }

    #[test]
    fn an_image_of_one_value_is_said_to_be_black() {
        let flat = Observed {
            min: f64::from(0.1_f32),
            max: f64::from(0.1_f32),
            expected: (f64::from(0.1_f32), f64::from(0.1_f32)),
            ..seen(0, 0, 0).unwrap()
        };
        check(
            Some(flat),
            &[
                "an image of \"k\" is black: each of its values is 0.1, and the range from the \
               least to the greatest is empty; for a fixed range use Normalize::Unit or \
               ValueRange; this is said once per key",
            ],
            &[],
        );
    }

    #[test]
    fn values_are_said_once_and_added_up() {
        check(None, &[], &[]);
        check(seen(0, 0, 0), &[], &[]);
        check(
            seen(0, 0, 3),
            &[
                "an image of \"k\" was made of values from -0.5 to 1.5: 3 of 9 lie outside the 0 to 1 \
               that its rule expects and were saturated; this is said once per key, with totals at \
               the end",
            ],
            &["\"k\", in all 2 images logged: 6 values saturated"],
        );
        check(
            seen(1, 2, 0),
            &[
                "an image of \"k\" was made of values from -0.5 to 1.5: 1 of 9 are NaN and became 0, \
               2 of 9 are infinite and were clamped; this is said once per key, with totals at the \
               end",
            ],
            &["\"k\", in all 2 images logged: 2 NaN became 0, 4 infinite values clamped"],
        );
        check(
            seen(9, 0, 0),
            &[
                "an image of \"k\" was made of no finite value: 9 of 9 are NaN and became 0; this is \
               said once per key, with totals at the end",
            ],
            &["\"k\", in all 2 images logged: 18 NaN became 0"],
        );
    }

    fn check_list(images: Vec<PreparedImage>, expected: Option<&str>) {
        let said = Notices::default().observe(&row(images));
        assert_eq!(said.len(), expected.iter().len(), "{said:?}");
        if let (Some(said), Some(expected)) = (said.first(), expected) {
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn a_list_of_different_sizes_is_said() {
        let of_size = |size| image(size, None);
        check_list(vec![of_size((2, 3)), of_size((2, 3))], None);
        check_list(
            vec![of_size((2, 3)), of_size((4, 5))],
            Some("(2×3 and 4×5)"),
        );
    }
}
