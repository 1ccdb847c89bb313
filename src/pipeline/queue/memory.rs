//! What pictures on their way hold together: counted once, until the last of them is made.

use std::collections::{BTreeMap, BTreeSet};

use crate::image::Image;

/// The address of something that pictures hold, and its bytes. The address is that thing's as long
/// as one of them holds it; another thing that comes to lie there later is the same to the count
/// only if it is as large.
pub(super) type Held = (usize, u64);

/// Memory that the pictures of one value hold until they are made.
#[derive(Debug)]
pub(in crate::pipeline) struct Load {
    held: BTreeSet<Held>,
    /// Of all their pixels.
    pixels: u64,
}

impl Load {
    pub(in crate::pipeline) fn of(images: &[Image]) -> Self {
        Self {
            held: images.iter().flat_map(Image::held).collect(),
            pixels: images.iter().map(Image::made_bytes).sum(),
        }
    }
}

/// How many pictures that aren't made yet hold each thing.
#[derive(Debug, Default)]
pub(super) struct Memory(BTreeMap<Held, usize>);

impl Memory {
    /// The bytes that the load adds to what is held already.
    pub(super) fn added_by(&self, load: &Load) -> u64 {
        let new = load.held.iter().filter(|held| !self.0.contains_key(held));
        new.map(|held| held.1).sum::<u64>() + load.pixels
    }

    /// A picture more holds these. Returns the bytes that nobody held before.
    pub(super) fn hold(&mut self, held: &[Held]) -> u64 {
        let added = held.iter().map(|&held| {
            let users = self.0.entry(held).or_default();
            *users += 1;
            if *users == 1 { held.1 } else { 0 }
        });
        added.sum()
    }

    /// A picture less holds these. Returns the bytes that nobody holds now.
    pub(super) fn let_go(&mut self, held: &[Held]) -> u64 {
        held.iter().map(|held| self.let_go_of(held)).sum()
    }

    fn let_go_of(&mut self, held: &Held) -> u64 {
        let Some(users) = self.0.get_mut(held) else {
            return 0;
        };
        *users -= 1;
        if *users > 0 {
            return 0;
        }
        self.0.remove(held);
        held.1
    }

    /// The bytes of all that is held.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.0.keys().map(|held| held.1).sum()
    }
}
