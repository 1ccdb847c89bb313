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
    /// Classes of these ids and names, in any order: of a list, a map, or
    /// [`enumerate`](Iterator::enumerate). Names may repeat.
    ///
    /// # Errors
    ///
    /// [`Error::ClassTwice`] for an id that comes twice, with both names, and [`Error::Option`] for
    /// one over [`i64::MAX`].
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use wandb_image::Classes;
    ///
    /// let classes: HashMap<usize, String> = HashMap::from([(7, "cat".into())]);
    /// assert_eq!(Classes::new(&classes)?.get(7), Some("cat"));
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn new<I: ClassId, N: AsRef<str>>(
        classes: impl IntoIterator<Item = (I, N)>,
    ) -> Result<Self> {
        let mut names = BTreeMap::new();
        for (id, name) in classes {
            let (id, name) = (checked(id.wide())?, name.as_ref().to_owned());
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
    pub fn from_names(names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let names = names.into_iter().map(|name| name.as_ref().to_owned());
        Self(Arc::new((0..).zip(names).collect()))
    }

    /// Classes of ids of which none comes twice, or of which the last name holds.
    pub(crate) fn of_distinct<'n>(names: impl IntoIterator<Item = (i64, &'n str)>) -> Self {
        let names = names.into_iter().map(|(id, name)| (id, name.to_owned()));
        Self(Arc::new(names.collect()))
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

/// The id of a class, of any type that class maps have.
///
/// Sealed; implemented for every integer up to 64 bits and for references to them.
pub trait ClassId: sealed::Sealed {}

mod sealed {
    pub trait Sealed {
        fn wide(&self) -> i128;
    }
}

macro_rules! class_id {
    ($($t:ty),*) => {$(
        impl sealed::Sealed for $t {
            fn wide(&self) -> i128 {
                *self as i128
            }
        }
        impl ClassId for $t {}
    )*};
}

class_id!(u8, i8, u16, i16, u32, i32, u64, i64, usize, isize);

impl<T: ClassId> sealed::Sealed for &T {
    fn wide(&self) -> i128 {
        (**self).wide()
    }
}

impl<T: ClassId> ClassId for &T {}

fn checked(id: i128) -> Result<i64> {
    i64::try_from(id).map_err(|_| Error::Option {
        option: "a class id",
        given: id.to_string(),
        expected: format!("the greatest is {}: give the class another one", i64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    fn check_ids<T: ClassId>(ids: [T; 2], expected: [i64; 2]) {
        let classes = Classes::new(ids.into_iter().zip(["a", "b"])).unwrap();
        assert!(classes.iter().eq(expected.into_iter().zip(["a", "b"])));
    }

    #[test]
    fn ids_are_of_every_integer_type() {
        check_ids([0, 1], [0, 1]);
        check_ids([0_u8, u8::MAX], [0, 255]);
        check_ids([i8::MIN, i8::MAX], [-128, 127]);
        check_ids([0_u16, u16::MAX], [0, 65_535]);
        check_ids([i16::MIN, 0], [-32_768, 0]);
        check_ids([0, u32::MAX], [0, 4_294_967_295]);
        check_ids([i32::MIN, 0], [-2_147_483_648, 0]);
        check_ids([0, i64::MAX as u64], [0, i64::MAX]);
        check_ids([i64::MIN, i64::MAX], [i64::MIN, i64::MAX]);
        check_ids([0_usize, 7], [0, 7]);
        check_ids([-7_isize, 7], [-7, 7]);
        check_ids([&3_usize, &7], [3, 7]);
    }

    #[test]
    fn an_id_over_the_greatest_is_an_error() {
        let check = |error: Result<Classes>| {
            assert_eq!(
                error.unwrap_err().to_string(),
                "a class id is 9223372036854775808, but the greatest is 9223372036854775807: give \
                 the class another one"
            );
        };
        check(Classes::new([(1_u64 << 63, "a")]));
        check(Classes::new([(1_usize << 63, "a")]));
    }

    #[test]
    fn classes_come_from_every_kind_of_list() {
        let names = ["x", "y"];
        let owned = names.map(String::from).to_vec();
        let check = |classes: Result<Classes>| {
            assert!(classes.unwrap().iter().eq([(0, "x"), (1, "y")]));
        };
        check(Classes::new(names.iter().enumerate()));
        check(Classes::new(owned.iter().enumerate()));
        check(Classes::new(owned.clone().into_iter().enumerate()));
        check(Classes::new(HashMap::from([
            (0_usize, "x".to_owned()),
            (1, "y".into()),
        ])));
        check(Classes::new(&BTreeMap::from([(0_i64, "x"), (1, "y")])));
        check(Ok(Classes::from_names(names.iter())));
        check(Ok(Classes::from_names(owned)));
    }

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
