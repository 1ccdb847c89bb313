//! What pictures on their way hold together: counted once, until the last of them is made.

use std::collections::{BTreeMap, BTreeSet};

use crate::image::Image;

/// The address of something that pictures hold, and its bytes. The address is that thing's as long
/// as one of them holds it; another thing that comes to lie there later is the same to the count
/// only if it is as large.
pub(crate) type Held = (usize, u64);

/// Memory that something holds until it is made.
#[derive(Debug, Default)]
pub(crate) struct Load {
    held: BTreeSet<Held>,
    /// Of its own: its pixels, for example.
    own: u64,
}

impl Load {
    pub(crate) fn of<'i>(images: impl IntoIterator<Item = &'i Image>) -> Self {
        let mut load = Self::default();
        images.into_iter().for_each(|image| load.add(image));
        load
    }

    pub(crate) fn add(&mut self, image: &Image) {
        self.held.extend(image.held());
        self.own += image.made_bytes();
    }

    pub(crate) fn add_bytes(&mut self, bytes: u64) {
        self.own += bytes;
    }

    /// What it takes where nothing else holds any of it.
    pub(crate) fn bytes(&self) -> u64 {
        self.own + self.held.iter().map(|held| held.1).sum::<u64>()
    }
}

/// How many of those that aren't made yet hold each thing.
#[derive(Debug, Default)]
pub(crate) struct Memory(BTreeMap<Held, usize>);

impl Memory {
    /// The bytes that the load adds to what is held already.
    pub(crate) fn added_by(&self, load: &Load) -> u64 {
        let new = load.held.iter().filter(|held| !self.0.contains_key(held));
        new.map(|held| held.1).sum::<u64>() + load.own
    }

    /// Takes a load, and returns the bytes that it adds.
    pub(crate) fn take(&mut self, load: &Load) -> u64 {
        load.own + self.hold(&load.held)
    }

    /// Gives a load back, and returns the bytes that nobody holds now.
    pub(crate) fn give_back(&mut self, load: &Load) -> u64 {
        load.own + self.let_go(&load.held)
    }

    /// A picture more holds these. Returns the bytes that nobody held before.
    pub(crate) fn hold<'h>(&mut self, held: impl IntoIterator<Item = &'h Held>) -> u64 {
        let added = held.into_iter().map(|&held| {
            let users = self.0.entry(held).or_default();
            *users += 1;
            if *users == 1 { held.1 } else { 0 }
        });
        added.sum()
    }

    /// A picture less holds these. Returns the bytes that nobody holds now.
    pub(crate) fn let_go<'h>(&mut self, held: impl IntoIterator<Item = &'h Held>) -> u64 {
        held.into_iter().map(|held| self.let_go_of(held)).sum()
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
    pub(crate) fn bytes(&self) -> u64 {
        self.0.keys().map(|held| held.1).sum()
    }
}
