//! What an image lacks that was read back.

use std::fmt;

/// The parts that are told of an image, at most: one may have as many layers as its JSON has room
/// for.
const MAX_TOLD: usize = 1_000;

/// What couldn't be read of an image, though its picture could.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeftOut {
    told: Vec<Part>,
    /// Of those that aren't told.
    more: u64,
}

#[derive(Clone, Debug)]
struct Part {
    kind: Kind,
    /// The beginning of that of a layer.
    key: String,
    which: Tally,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Grouping,
    Class,
    Mask,
    Score,
    Box,
    Boxes,
}

/// How many things of a kind were left out, and why the first of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    count: u64,
    first: String,
}

impl Tally {
    pub(crate) fn add(&mut self, reason: impl FnOnce() -> String) {
        if self.count == 0 {
            self.first = reason();
        }
        self.count += 1;
    }
}

impl LeftOut {
    pub(crate) fn add(&mut self, kind: Kind, key: &str, reason: String) {
        let (count, first) = (1, reason);
        self.add_all(kind, key, Tally { count, first });
    }

    /// Several of one layer, or of no layer.
    pub(crate) fn add_all(&mut self, kind: Kind, key: &str, which: Tally) {
        match which.count {
            0 => {}
            _ if self.told.len() < MAX_TOLD => self.told.push(Part {
                kind,
                key: crate::error::beginning(key),
                which,
            }),
            count => self.more += count,
        }
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let more = (self.more > 0).then(|| format!("{} more", self.more));
        self.told.iter().map(Part::to_string).chain(more)
    }

    /// Of things, not of lines.
    pub(super) fn count(&self) -> u64 {
        let told = self.told.iter().map(|part| part.which.count);
        told.sum::<u64>() + self.more
    }

    /// Without what lies over the picture.
    pub(super) fn without_layers(&self) -> Self {
        let is_kept = |part: &&Part| matches!(part.kind, Kind::Grouping | Kind::Class);
        Self {
            told: self.told.iter().filter(is_kept).cloned().collect(),
            more: 0,
        }
    }
}

/// One line.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { kind, key, which } = self;
        let Tally { count, first } = which;
        let layer = format!("{key:?}");
        let (one, many) = match kind {
            Kind::Grouping => ("the grouping".into(), String::new()),
            Kind::Class => ("a class".into(), format!("{count} classes, the first")),
            Kind::Mask => (format!("mask {layer}"), String::new()),
            Kind::Score => (
                format!("a score of {layer}"),
                format!("{count} scores of {layer}, the first"),
            ),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_little_memory_whatever_is_left_out() {
        let mut left_out = LeftOut::default();
        for layer in 0..2 * MAX_TOLD {
            left_out.add(Kind::Mask, &layer.to_string(), "it is damaged".into());
        }
        assert_eq!(left_out.count(), 2 * MAX_TOLD as u64);
        let lines: Vec<_> = left_out.lines().collect();
        assert_eq!(lines.len(), MAX_TOLD + 1);
        assert_eq!(lines[MAX_TOLD], "1000 more");
    }
}
