//! Ways of keys, from the top down to leaves.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::ops::Bound;

use crate::sink::records::Item;

/// The way to a leaf.
pub(super) fn way(item: &Item) -> &[String] {
    match &item.nested_key[..] {
        [] => std::slice::from_ref(&item.key),
        way => way,
    }
}

/// Ways in order: those that go on after one follow it.
#[derive(Debug)]
pub(super) struct Ways<W>(BTreeSet<W>);

impl<W> Default for Ways<W> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<W: Borrow<[String]> + Ord> Ways<W> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &[String]> {
        self.0.iter().map(Borrow::<[String]>::borrow)
    }

    pub(super) fn holds(&self, way: &[String]) -> bool {
        self.0.contains(way)
    }

    /// Whether one of them is this way, or goes on after it, or this after one of them.
    pub(super) fn meets(&self, way: &[String]) -> bool {
        let from = (Bound::Included(way), Bound::Unbounded);
        let mut after = self.0.range::<[String], _>(from);
        let next = after.next().map(Borrow::<[String]>::borrow);
        next.is_some_and(|next| next.starts_with(way))
            || (1..way.len()).any(|n| self.holds(&way[..n]))
    }

    pub(super) fn keep(&mut self, is_kept: impl Fn(&[String]) -> bool) {
        self.0.retain(|way| is_kept(way.borrow()));
    }
}

impl Ways<Vec<String>> {
    pub(super) fn add(&mut self, way: &[String]) {
        if !self.holds(way) {
            self.0.insert(way.to_vec());
        }
    }
}

impl<W: Ord> FromIterator<W> for Ways<W> {
    fn from_iter<I: IntoIterator<Item = W>>(ways: I) -> Self {
        Self(ways.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ways: &[&[&str]], given: &[&str], expected: bool) {
        let owned = |way: &[&str]| -> Vec<String> { way.iter().map(ToString::to_string).collect() };
        let ways: Ways<_> = ways.iter().map(|way| owned(way)).collect();
        assert_eq!(ways.meets(&owned(given)), expected, "{ways:?} {given:?}");
    }

    #[test]
    fn ways_meet_where_one_goes_on_after_the_other() {
        let ways: &[&[&str]] = &[&["a", "b"], &["a", "bc", "d"], &["e"]];
        check(ways, &["a", "b"], true);
        check(ways, &["a"], true);
        check(ways, &["a", "b", "c"], true);
        check(ways, &["a", "bc"], true);
        check(ways, &["e", "f", "g"], true);
        check(ways, &["a", "bcd"], false);
        check(ways, &["a", ""], false);
        check(ways, &["ea"], false);
        check(&[], &["a"], false);
    }
}
