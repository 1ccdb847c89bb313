//! What was noticed of pictures: said once per key, or once of the artifacts of a name, added up for
//! the end.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use super::row::{Prepared, PreparedImage};
use crate::artifact::Heading;
use crate::error::counted_as;
use crate::image::{LayersNoticed, Seen};
use crate::pixels::{Observed, told as number};

#[derive(Debug, Default)]
pub(super) struct Notices {
    tallies: BTreeMap<Subject, Tally>,
    /// Of the artifacts of each name.
    types: BTreeMap<String, Type>,
}

/// The type of the first artifact of a name.
#[derive(Debug)]
struct Type {
    first: String,
    said_other: bool,
}

/// Where pictures are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Key(String),
    /// The artifacts of this name.
    Artifact(String),
}

/// What was noticed of one so far.
#[derive(Debug, Default)]
struct Tally {
    seen: Seen,
    said_values: bool,
    said_flat: bool,
    said_alpha: bool,
    said_layers: bool,
    said_left_out: bool,
    said_sizes: bool,
}

impl Notices {
    /// Takes note of a row, and returns what is to be said of it.
    pub(super) fn observe(&mut self, row: &BTreeMap<String, Prepared>) -> Vec<String> {
        let mut sayings = Vec::new();
        for (key, value) in row.iter().filter(|(_, value)| !value.images().is_empty()) {
            let subject = Subject::Key(key.clone());
            for image in value.images() {
                let seen = Seen::of(&image.noticed, image.format);
                self.add(&subject, &seen, &mut sayings);
            }
            let tally = self.tallies.entry(subject).or_default();
            let sizes = of_sizes(key, value.images());
            sayings.extend(once(&mut tally.said_sizes, sizes));
        }
        let tables = row
            .iter()
            .filter_map(|(key, value)| Some((key, value.table()?)));
        for (key, table) in tables {
            self.add(&Subject::Key(key.clone()), &table.seen, &mut sayings);
        }
        sayings
    }

    /// The same of an artifact.
    pub(super) fn observe_artifact(&mut self, heading: &Heading, seen: &Seen) -> Vec<String> {
        let mut sayings = Vec::from_iter(self.of_type(heading));
        let subject = Subject::Artifact(heading.name.clone());
        self.add(&subject, seen, &mut sayings);
        sayings
    }

    /// Said once of a name whose artifacts have two types.
    fn of_type(&mut self, Heading { name, kind, .. }: &Heading) -> Option<String> {
        let known = self.types.entry(name.clone()).or_insert_with(|| Type {
            first: kind.clone(),
            said_other: false,
        });
        if known.first == *kind || std::mem::replace(&mut known.said_other, true) {
            return None;
        }
        let first = &known.first;
        Some(format!(
            "the artifact {name:?} was logged with the type {first:?} before, and with {kind:?} now: \
             W&B keeps one type for a name, and refuses the other when it is uploaded; log it under \
             another name, or with that type"
        ))
    }

    fn add(&mut self, subject: &Subject, seen: &Seen, sayings: &mut Vec<String>) {
        if seen.images > 0 {
            let tally = self.tallies.entry(subject.clone()).or_default();
            tally.observe(subject, seen, sayings);
        }
    }

    /// The totals of each of which something was noticed.
    pub(super) fn totals(&self) -> Vec<String> {
        let noticed = self.tallies.iter().filter(|(_, tally)| tally.seen.any());
        let totals = noticed.map(|(subject, tally)| total(subject, &tally.seen));
        totals.collect()
    }
}

impl Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Key(key) => write!(f, "{key:?}"),
            Subject::Artifact(name) => write!(f, "the artifact {name:?}"),
        }
    }
}

impl Subject {
    /// What has each thing said once.
    fn kind(&self) -> &'static str {
        match self {
            Subject::Key(_) => "key",
            Subject::Artifact(_) => "artifact",
        }
    }
}

impl Tally {
    fn observe(&mut self, subject: &Subject, seen: &Seen, sayings: &mut Vec<String>) {
        self.seen.add(seen);
        let values = seen.first_values.as_ref();
        let values = values.map(|seen| of_values(subject, seen));
        sayings.extend(once(&mut self.said_values, values));
        let flat = seen.first_flat.as_ref();
        let flat = flat.map(|seen| of_one_value(subject, seen));
        sayings.extend(once(&mut self.said_flat, flat));
        let alpha = seen.first_alpha.as_ref();
        let alpha = alpha.map(|format| of_alpha(subject, format));
        sayings.extend(once(&mut self.said_alpha, alpha));
        let layers = seen.first_layers.map(|layers| of_layers(subject, layers));
        sayings.extend(once(&mut self.said_layers, layers));
        let left_out = seen.first_left_out.map(|parts| of_left_out(subject, parts));
        sayings.extend(once(&mut self.said_left_out, left_out));
    }
}

fn total(subject: &Subject, seen: &Seen) -> String {
    let parts = [
        counted(seen.outside, "value saturated", "values saturated"),
        counted(seen.nan, "NaN became 0", "NaN became 0"),
        counted(
            seen.infinite,
            "infinite value clamped",
            "infinite values clamped",
        ),
        counted(
            seen.alpha_dropped,
            "image lost its alpha",
            "images lost their alpha",
        ),
    ];
    let left_out = counted(
        seen.left_out,
        "part not read from its artifact",
        "parts not read from their artifacts",
    );
    let parts = parts.into_iter().chain(layer_parts(seen.layers));
    let parts = parts.chain([left_out]);
    let images = counted(seen.images, "image", "images").unwrap_or_default();
    format!("{subject}, in all {images} logged: {}", joined(parts))
}

/// The text, if there is one and this is the first time.
fn once(said: &mut bool, text: Option<String>) -> Option<String> {
    if text.is_some() && !std::mem::replace(said, true) {
        return text;
    }
    None
}

fn of_values(subject: &Subject, seen: &Observed) -> String {
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
    format!(
        "an image of {subject} was made of {}: {}; this is said once per {}, with totals at the end",
        range(seen),
        joined(parts),
        subject.kind()
    )
}

/// Of an image whose own range is its rule, and empty.
fn of_one_value(subject: &Subject, seen: &Observed) -> String {
    format!(
        "an image of {subject} is black: each of its values is {}, and the range from the least to \
         the greatest is empty; for a fixed range use Normalize::Unit or ValueRange; this is said \
         once per {}",
        number(seen.min),
        subject.kind()
    )
}

fn range(seen: &Observed) -> String {
    if seen.nan + seen.infinite >= seen.count {
        return "no finite value".into();
    }
    format!("values from {} to {}", number(seen.min), number(seen.max))
}

fn of_alpha(subject: &Subject, format: &str) -> String {
    format!(
        "an image of {subject} has transparency, which a {format} file can't hold: its alpha was \
         dropped; use FileType::Png to keep it"
    )
}

fn of_layers(subject: &Subject, seen: LayersNoticed) -> String {
    format!(
        "over an image of {subject}: {}; this is said once per {}, with totals at the end",
        joined(layer_parts(seen)),
        subject.kind()
    )
}

fn of_left_out(subject: &Subject, parts: u64) -> String {
    format!(
        "an image of {subject} lacks {} that could not be read from its artifact: Image::left_out \
         says which and why; this is said once per {}, with totals at the end",
        counted_as(parts, "part", "parts"),
        subject.kind()
    )
}

fn layer_parts(seen: LayersNoticed) -> [Option<String>; 5] {
    let example = seen.unnamed_id.unwrap_or_default();
    let remedy =
        format!("without a name, such as {example} (add it to class_labels, or Image::classes)");
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
            seen.outside,
            "box lies wholly outside of its picture",
            "boxes lie wholly outside of their pictures",
        ),
        counted(
            seen.unnamed.into(),
            &format!("layer has classes {remedy}"),
            &format!("layers have classes {remedy}"),
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
                values: values.map(Box::new),
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
