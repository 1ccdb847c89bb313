//! [`Classes`]: the names of class ids.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};

/// The names of class ids, which W&B shows with masks and boxes: `wandb.Classes` in Python, and
/// the `class_labels` of its masks and boxes.
///
/// A clone is cheap: it shares the names.
///
/// ```
/// use wandb_image::Classes;
///
/// let classes = Classes::new([(0, "background"), (7, "cat")])?;
/// assert_eq!(classes.get(7), Some("cat"));
/// assert_eq!(classes.get(1), None);
/// # Ok::<(), wandb_image::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classes(Arc<BTreeMap<i64, String>>);

impl Classes {
    /// Classes of these ids and names, in any order. Names may repeat.
    ///
    /// # Errors
    ///
    /// [`Error::ClassTwice`] for an id that comes twice, with both names.
    pub fn new<I: Into<i64>, N: Into<String>>(
        classes: impl IntoIterator<Item = (I, N)>,
    ) -> Result<Self> {
        let mut names = BTreeMap::new();
        for (id, name) in classes {
            let (id, name) = (id.into(), name.into());
            if let Some(first) = names.insert(id, name.clone()) {
                return Err(Error::ClassTwice {
                    id,
                    first,
                    second: name,
                });
            }
        }
        Ok(Self(Arc::new(names)))
    }

    /// The classes 0, 1, … in the order of their names.
    ///
    /// ```
    /// use wandb_image::Classes;
    ///
    /// let classes = Classes::from_names(["background", "cat"]);
    /// assert!(classes.iter().eq([(0, "background"), (1, "cat")]));
    /// ```
    pub fn from_names(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names = names.into_iter().map(Into::into);
        Self(Arc::new((0..).zip(names).collect()))
    }

    /// These ids as `class_<id>`: what W&B calls classes without a name.
    pub(crate) fn numbered(ids: impl IntoIterator<Item = i64>) -> Self {
        let named = ids.into_iter().map(|id| (id, format!("class_{id}")));
        Self(Arc::new(named.collect()))
    }

    /// With the other classes, whose names hold where both name an id.
    pub(crate) fn with(mut self, other: &Self) -> Self {
        if self.is_empty() {
            return other.clone();
        }
        let others = other.0.iter().map(|(&id, name)| (id, name.clone()));
        Arc::make_mut(&mut self.0).extend(others);
        self
    }

    /// Whether all of the other classes have the names here that they have there.
    pub(crate) fn has(&self, other: &Self) -> bool {
        let has = |(id, name)| self.get(id) == Some(name);
        Arc::ptr_eq(&self.0, &other.0) || other.iter().all(has)
    }

    /// The name of a class, where it has one.
    pub fn get(&self, id: i64) -> Option<&str> {
        self.0.get(&id).map(String::as_str)
    }

    /// All ids with their names, in the order of the ids.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &str)> {
        self.0.iter().map(|(&id, name)| (id, name.as_str()))
    }

    /// How many ids have a name.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no id has a name.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_in_their_order() {
        let classes = Classes::new([(9_i64, "b"), (-1, "a"), (3, "a")]).unwrap();
        assert!(classes.iter().eq([(-1, "a"), (3, "a"), (9, "b")]));
        assert_eq!((classes.len(), classes.is_empty()), (3, false));
        assert!(Classes::default().is_empty());
        assert_eq!(
            Classes::from_names(["x", "y"]),
            Classes::new([(1_u8, "y"), (0, "x")]).unwrap()
        );
    }

    #[test]
    fn an_id_named_twice_is_an_error_with_both_names() {
        let check = |names: [(i64, &str); 2], expected: &str| {
            assert_eq!(Classes::new(names).unwrap_err().to_string(), expected);
        };
        check(
            [(1, "car"), (1, "truck")],
            "class id 1 was given twice, as \"car\" and as \"truck\", but an id has one name: \
             leave one out, or give it an id of its own",
        );
        check(
            [(-2, "a\nb"), (-2, "a\nb")],
            "class id -2 was given twice, as \"a\\nb\" and as \"a\\nb\", but an id has one name: \
             leave one out, or give it an id of its own",
        );
    }
}
