//! What an image lacks that was read back.

use std::fmt;

use super::layers::LayersNoticed;

/// What couldn't be read of an image, though its picture could.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeftOut(Vec<Part>);

#[derive(Clone, Debug)]
struct Part {
    kind: Kind,
    /// Of a layer.
    key: String,
    count: u64,
    /// Why the first of them was left out.
    first: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Grouping,
    Class,
    Mask,
    Box,
    Boxes,
}

impl LeftOut {
    /// Several of one layer, or of no layer, become one part when they come one after the other.
    pub(crate) fn add(&mut self, kind: Kind, key: &str, reason: impl Into<String>) {
        match self.0.last_mut() {
            Some(last) if last.kind == kind && last.key == key => last.count += 1,
            _ => self.0.push(Part {
                kind,
                key: crate::error::beginning(key),
                count: 1,
                first: reason.into(),
            }),
        }
    }

    pub(crate) fn append(&mut self, mut later: Self) {
        self.0.append(&mut later.0);
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(Part::to_string)
    }

    /// What a run says of it when the image is logged.
    pub(super) fn noticed(&self) -> LayersNoticed {
        let boxes = self.0.iter().filter(|part| part.kind == Kind::Box);
        let is_layer = |part: &&Part| matches!(part.kind, Kind::Mask | Kind::Boxes);
        LayersNoticed {
            skipped: boxes.map(|part| part.count).sum(),
            unread: self.0.iter().filter(is_layer).map(|_| 1).sum(),
            ..LayersNoticed::default()
        }
    }
}

/// One line.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self {
            kind,
            key,
            count,
            first,
        } = self;
        let layer = format!("{key:?}");
        let (one, many) = match kind {
            Kind::Grouping => ("the grouping".into(), String::new()),
            Kind::Class => ("a class".into(), format!("{count} classes, the first")),
            Kind::Mask => (format!("mask {layer}"), String::new()),
            Kind::Box => (
                format!("a box of {layer}"),
                format!("{count} boxes of {layer}, the first"),
            ),
            Kind::Boxes => (format!("boxes {layer}"), String::new()),
        };
        let what = if *count == 1 { one } else { many };
        write!(f, "{what}: {first}")
    }
}
