//! What was noticed of many pictures: added up, with the first of each kind.

use super::{LayersNoticed, Noticed};
use crate::pixels::Observed;

/// It takes the same memory whatever the number of pictures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) images: u64,
    pub(crate) nan: u64,
    pub(crate) infinite: u64,
    pub(crate) outside: u64,
    pub(crate) alpha_dropped: u64,
    pub(crate) layers: LayersNoticed,
    /// Parts that couldn't be read back from an artifact.
    pub(crate) left_out: u64,
    /// The values of the first picture of which some had no place.
    pub(crate) first_values: Option<Observed>,
    /// Those of the first that is black, since all of them are the same.
    pub(crate) first_flat: Option<Observed>,
    /// The format of the first that lost its alpha.
    pub(crate) first_alpha: Option<String>,
    /// The layers of the first with something to say of them.
    pub(crate) first_layers: Option<LayersNoticed>,
    /// How many parts the first lacks that lacks any.
    pub(crate) first_left_out: Option<u64>,
}

impl Seen {
    /// Of a picture, which became a file of this format.
    pub(crate) fn of(noticed: &Noticed, format: &str) -> Self {
        let values = noticed.values.as_deref();
        let sum = |count: fn(&Observed) -> u64| values.map_or(0, count);
        let out_of_place = |seen: &&Observed| seen.outside + seen.nan + seen.infinite > 0;
        Self {
            images: 1,
            nan: sum(|seen| seen.nan),
            infinite: sum(|seen| seen.infinite),
            outside: sum(|seen| seen.outside),
            alpha_dropped: u64::from(noticed.alpha_dropped),
            layers: noticed.layers,
            left_out: noticed.left_out,
            first_values: values.filter(out_of_place).cloned(),
            first_flat: values.filter(|seen| is_flat(seen)).cloned(),
            first_alpha: noticed.alpha_dropped.then(|| format.into()),
            first_layers: Some(noticed.layers).filter(|layers| layers.any()),
            first_left_out: Some(noticed.left_out).filter(|parts| *parts > 0),
        }
    }

    /// Takes up what was seen of later ones.
    pub(crate) fn add(&mut self, later: &Self) {
        self.images += later.images;
        self.nan += later.nan;
        self.infinite += later.infinite;
        self.outside += later.outside;
        self.alpha_dropped += later.alpha_dropped;
        self.layers.add(later.layers);
        self.left_out += later.left_out;
        or(&mut self.first_values, &later.first_values);
        or(&mut self.first_flat, &later.first_flat);
        or(&mut self.first_alpha, &later.first_alpha);
        or(&mut self.first_layers, &later.first_layers);
        or(&mut self.first_left_out, &later.first_left_out);
    }

    /// Whether there is something to say at the end.
    pub(crate) fn any(&self) -> bool {
        let values = self.nan + self.infinite + self.outside;
        values + self.alpha_dropped + self.left_out > 0 || self.layers.any()
    }
}

/// Its own range is its rule, and empty.
fn is_flat(seen: &Observed) -> bool {
    let finite = seen.count - seen.nan - seen.infinite;
    finite > 1 && seen.expected.0 == seen.expected.1
}

fn or<T: Clone>(first: &mut Option<T>, later: &Option<T>) {
    if first.is_none() {
        first.clone_from(later);
    }
}
