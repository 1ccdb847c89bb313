//! What one key of a row can hold: JSON, and pictures.

use serde::Serialize;

use crate::error::Result;
use crate::image::Image;
use crate::image::list::ImageList;
use crate::table::{SharedTable, Table};
use crate::value::{IntoJson, Json, MAX_VALUES, Scalar};

/// What one key of a row holds: a number, a text, a list, a nested value, pictures, or a table.
///
/// Made by `From` from every primitive number, `bool`, text, `Option` of these (`None` is
/// `null`), vectors, slices and arrays of these, `serde_json::Value`, [`Image`] and lists of
/// images ([`ImageList`], vectors, slices and arrays), and [`Table`]; anything else that serde knows goes
/// through [`from_serialize`](Self::from_serialize).
///
/// NaN and the infinities are kept, also inside lists and nested values: they arrive in W&B as
/// `NaN`, `Infinity` and `-Infinity`. An `f32` is widened, as Python's `float` does it.
///
/// ```
/// use wandb_image::{Row, Value};
///
/// #[derive(serde::Serialize)]
/// struct Scores {
///     precision: f64,
///     recall: f64,
/// }
///
/// let scores = Scores { precision: 0.9, recall: f64::NAN };
/// let row = Row::new()
///     .with("loss", 0.25_f32)
///     .with("learning rates", vec![1e-3, 1e-4])
///     .with("scores", Value::from_serialize(&scores)?);
/// # Ok::<(), wandb_image::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Value(pub(crate) Kind);

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Json(Json),
    Image(Box<Image>),
    Images(ImageList),
    Table(SharedTable),
}

impl Value {
    /// Any value that serde can describe: structs and maps become nested keys.
    ///
    /// # Errors
    ///
    /// [`Error::Value`](crate::Error::Value) for what JSON can't hold (a map whose keys are no
    /// text or number, an integer over 64 bits) and for a `Serialize` that fails itself.
    ///
    /// ```
    /// let error = wandb_image::Value::from_serialize(&u128::MAX).unwrap_err();
    /// assert!(error.to_string().contains("64 bits"));
    /// ```
    pub fn from_serialize(value: &(impl Serialize + ?Sized)) -> Result<Self> {
        Json::from_serialize(value).map(Self::json)
    }

    fn json(json: Json) -> Self {
        Self(Kind::Json(json))
    }
}

impl<T: Scalar> From<T> for Value {
    fn from(value: T) -> Self {
        Value::json(value.into_json())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::json(Json::Null), Into::into)
    }
}

impl<T: Scalar> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        // One too many are as many as are needed to refuse it.
        let values = values.into_iter().take(MAX_VALUES + 1);
        Value::json(Json::List(values.map(IntoJson::into_json).collect()))
    }
}

impl<T: Scalar + Clone> From<&[T]> for Value {
    fn from(values: &[T]) -> Self {
        values[..values.len().min(MAX_VALUES + 1)].to_vec().into()
    }
}

impl<T: Scalar, const N: usize> From<[T; N]> for Value {
    fn from(values: [T; N]) -> Self {
        Vec::from(values).into()
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        Value::json(value.into())
    }
}

impl From<Image> for Value {
    fn from(image: Image) -> Self {
        Self(Kind::Image(Box::new(image)))
    }
}

/// A table under a key. A clone of the value is the same table, of which one is logged: it has the
/// table still where the row of the other was refused.
impl From<Table> for Value {
    fn from(table: Table) -> Self {
        Self(Kind::Table(SharedTable::new(table)))
    }
}

/// A list of pictures under one key, which W&B shows side by side. It holds at least one.
impl From<ImageList> for Value {
    fn from(images: ImageList) -> Self {
        Self(Kind::Images(images))
    }
}

/// An [`ImageList`] with its defaults.
impl From<Vec<Image>> for Value {
    fn from(images: Vec<Image>) -> Self {
        ImageList::from(images).into()
    }
}

/// An [`ImageList`] with its defaults.
impl<const N: usize> From<[Image; N]> for Value {
    fn from(images: [Image; N]) -> Self {
        ImageList::from(images).into()
    }
}

/// An [`ImageList`] with its defaults.
impl From<&[Image]> for Value {
    fn from(images: &[Image]) -> Self {
        ImageList::from(images).into()
    }
}

impl From<&Image> for Value {
    fn from(image: &Image) -> Self {
        image.clone().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::{Mode, Pixels};

    fn check(value: impl Into<Value>, expected: &str) {
        match value.into().0 {
            Kind::Json(json) => assert_eq!(json.to_text(), expected),
            other => panic!("{other:?} is no JSON"),
        }
    }

    #[test]
    fn values_become_the_text_that_wandb_takes() {
        check(true, "true");
        check(-3_i8, "-3");
        check(u64::MAX, "18446744073709551615");
        check(i64::MIN, "-9223372036854775808");
        check(0.1_f64, "0.1");
        check(0.1_f32, "0.10000000149011612");
        check(1.0_f64, "1.0");
        check(1e300_f64, "1e+300");
        check(-0.0_f64, "-0.0");
        check(f64::NAN, "NaN");
        check(f32::INFINITY, "Infinity");
        check(f64::NEG_INFINITY, "-Infinity");
        check("tä\"\\\n\u{1}🙂", "\"tä\\\"\\\\\\n\\u0001🙂\"");
        check(None::<f64>, "null");
        check(Some(2), "2");
        check(vec![1.5, f64::NAN], "[1.5,NaN]");
        check(["a", "b"], r#"["a","b"]"#);
        check(&[1_u8, 2][..], "[1,2]");
        check(
            serde_json::json!({"a": [1, -2, 2.5, null], "b": {}}),
            r#"{"a":[1,-2,2.5,null],"b":{}}"#,
        );
    }

    fn check_list(value: impl Into<Value>, expected: usize) {
        match value.into().0 {
            Kind::Images(list) => assert_eq!(list.images().len(), expected),
            other => panic!("{other:?} is no list of images"),
        }
    }

    #[test]
    fn every_kind_of_list_of_images_is_one() {
        let image = || Image::from(Pixels::new(1, 1, Mode::L, vec![0]).unwrap());
        check_list(vec![image()], 1);
        check_list([image(), image()], 2);
        check_list(&[image(), image()][..], 2);
        check_list(Vec::<Image>::new(), 0);
        check_list((0..3).map(|_| image()).collect::<ImageList>(), 3);
    }
}
