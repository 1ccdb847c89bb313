//! A value of a table.

use crate::error::Result;
use crate::image::Image;
use crate::image::json::table::{ElementType, ImageType, ListType, ValueType};
use crate::memory::Load;
use crate::value::tokens::unmarked;
use crate::value::{IntoJson, Json, Scalar};

/// A value of a [`Table`](crate::Table): a number, a text, a truth value, a list of such, a
/// picture, or none.
///
/// Made by `From` from every primitive number, `bool`, text, [`Image`], `Option` of these, and
/// vectors, slices and arrays of numbers, truth values or texts. An `f32` is widened, as Python's
/// `float` does it.
///
/// ```
/// use wandb_image::{Cell, Table};
///
/// let mut table = Table::new(["id", "scores", "note"])?;
/// table.add_row(vec![Cell::from(1), Cell::from([0.5, 0.25]), Cell::NONE])?;
/// table.add_row((2, vec![1.0], "sure"))?;
/// # Ok::<(), wandb_image::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cell(pub(super) Kind);

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Json(Json),
    Image(Box<Image>),
}

impl Cell {
    /// Nothing: `None` in Python.
    pub const NONE: Self = Self(Kind::Json(Json::Null));

    /// The picture, where it is one.
    ///
    /// ```
    /// use wandb_image::{Cell, Image, Mode, Pixels};
    ///
    /// let cell = Cell::from(Image::from(Pixels::new(1, 1, Mode::L, vec![7])?));
    /// assert_eq!(cell.image().map(Image::width), Some(1));
    /// assert!(cell.as_f64().is_none() && !cell.is_none());
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn image(&self) -> Option<&Image> {
        match &self.0 {
            Kind::Image(image) => Some(image),
            Kind::Json(_) => None,
        }
    }

    /// The picture itself, where it is one.
    pub fn into_image(self) -> Option<Image> {
        match self.0 {
            Kind::Image(image) => Some(*image),
            Kind::Json(_) => None,
        }
    }

    /// The number, where it is one, whole or not; it may be NaN or infinite.
    ///
    /// ```
    /// use wandb_image::Cell;
    ///
    /// assert_eq!(Cell::from(0.5).as_f64(), Some(0.5));
    /// assert_eq!(Cell::from(7).as_f64(), Some(7.0));
    /// assert_eq!(Cell::from("7").as_f64(), None);
    /// ```
    pub fn as_f64(&self) -> Option<f64> {
        match *self.json()? {
            Json::I64(value) => Some(value as f64),
            Json::U64(value) => Some(value as f64),
            Json::F64(value) => Some(value),
            _ => None,
        }
    }

    /// The number, where it is a whole one and not a float.
    ///
    /// ```
    /// use wandb_image::Cell;
    ///
    /// assert_eq!(Cell::from(7_u8).as_i64(), Some(7));
    /// assert_eq!(Cell::from(7.0).as_i64(), None);
    /// assert_eq!(Cell::from(u64::MAX).as_i64(), None);
    /// ```
    pub fn as_i64(&self) -> Option<i64> {
        match *self.json()? {
            Json::I64(value) => Some(value),
            Json::U64(value) => value.try_into().ok(),
            _ => None,
        }
    }

    /// The text, where it is one.
    ///
    /// ```
    /// # use wandb_image::Cell;
    /// assert_eq!(Cell::from("sure").as_str(), Some("sure"));
    /// ```
    pub fn as_str(&self) -> Option<&str> {
        match self.json()? {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, where it is one.
    ///
    /// ```
    /// # use wandb_image::Cell;
    /// assert_eq!(Cell::from(true).as_bool(), Some(true));
    /// assert_eq!(Cell::from(1).as_bool(), None);
    /// ```
    pub fn as_bool(&self) -> Option<bool> {
        match *self.json()? {
            Json::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The values of a list, where it is one.
    ///
    /// ```
    /// use wandb_image::Cell;
    ///
    /// let scores = Cell::from([0.25, 0.75]).as_list().unwrap();
    /// assert_eq!(scores[1].as_f64(), Some(0.75));
    /// assert!(Cell::from(0.25).as_list().is_none());
    /// ```
    pub fn as_list(&self) -> Option<Vec<Cell>> {
        match self.json()? {
            Json::List(values) => {
                let values = values.iter().cloned();
                Some(values.map(|value| Self(Kind::Json(value))).collect())
            }
            _ => None,
        }
    }

    /// Whether there is nothing: `None` in Python. NaN is a number.
    ///
    /// ```
    /// # use wandb_image::Cell;
    /// assert!(Cell::NONE.is_none() && Cell::from(None::<f64>).is_none());
    /// assert!(!Cell::from(f64::NAN).is_none());
    /// ```
    pub fn is_none(&self) -> bool {
        matches!(self.json(), Some(Json::Null))
    }

    /// The value as JSON, whatever it is, but for a picture: the way to what has no other, such as a
    /// map that the Python SDK has put there. NaN and infinite numbers become null.
    ///
    /// ```
    /// # use wandb_image::Cell;
    /// assert_eq!(Cell::from([1, 2]).to_json(), Some(serde_json::json!([1, 2])));
    /// ```
    pub fn to_json(&self) -> Option<serde_json::Value> {
        Some(self.json()?.clone().into())
    }

    fn json(&self) -> Option<&Json> {
        match &self.0 {
            Kind::Json(json) => Some(json),
            Kind::Image(_) => None,
        }
    }

    /// Of JSON whose tokens were marked.
    pub(super) fn of_marked(value: serde_json::Value) -> Self {
        Self(Kind::Json(unmarked(value)))
    }

    /// Refuses what no cell can hold.
    pub(super) fn checked(self, column: &str) -> Result<Self> {
        match self.0 {
            Kind::Json(json) => json.checked(column).map(|json| Self(Kind::Json(json))),
            Kind::Image(image) => {
                let checked = image.check_in_artifact();
                checked.map_err(|error| error.of_image(column, None))?;
                Ok(Self(Kind::Image(image)))
            }
        }
    }

    /// The memory that it holds until its row is written, in bytes.
    pub(super) fn held(&self) -> u64 {
        let mut load = Load::default();
        self.add_to(&mut load);
        load.bytes()
    }

    /// Adds what it holds.
    pub(super) fn add_to(&self, load: &mut Load) {
        match &self.0 {
            Kind::Json(json) => load.add_bytes((size_of::<Self>() + json.heap_bytes()) as u64),
            Kind::Image(image) => load.add(image),
        }
    }

    /// The type of its column with it.
    pub(super) fn type_in(&self, known: Option<&ValueType>) -> Result<Option<ValueType>, Misfit> {
        let own = match &self.0 {
            Kind::Json(json) => type_of(json).map_err(Misfit::NoCell)?,
            Kind::Image(_) => Some(ValueType::Image(ImageType::default())),
        };
        match (known, own) {
            (None, own) => Ok(own),
            (Some(known), None) => Ok(Some(known.clone())),
            (Some(ValueType::List(known)), Some(ValueType::List(own))) => {
                joined(known, own).map(|list| Some(ValueType::List(list)))
            }
            (Some(known), Some(own)) if name(known) == name(&own) => Ok(Some(known.clone())),
            (Some(known), Some(own)) => Err(Misfit::of(&own, known)),
        }
    }
}

/// Why a value doesn't go into a column, in words.
#[derive(Debug)]
pub(super) enum Misfit {
    /// No column holds such a value.
    NoCell(&'static str),
    /// The column holds other values.
    Other {
        given: &'static str,
        expected: &'static str,
    },
}

impl Misfit {
    fn of(given: &ValueType, expected: &ValueType) -> Self {
        Self::Other {
            given: name(given),
            expected: name(expected),
        }
    }
}

fn name(kind: &ValueType) -> &'static str {
    match kind {
        ValueType::Number => "a number",
        ValueType::Text => "a text",
        ValueType::Bool => "a truth value",
        ValueType::Image(_) => "an image",
        ValueType::List(list) => match list.element {
            None => "a list",
            Some(ElementType::Number) => "a list of numbers",
            Some(ElementType::Text) => "a list of texts",
            Some(ElementType::Bool) => "a list of truth values",
        },
    }
}

/// None of what counts as none.
fn type_of(json: &Json) -> Result<Option<ValueType>, &'static str> {
    Ok(match json {
        Json::List(values) => Some(ValueType::List(type_of_list(values)?)),
        Json::Map(_) => return Err("a map"),
        scalar => element(scalar)?.map(|element| match element {
            ElementType::Number => ValueType::Number,
            ElementType::Text => ValueType::Text,
            ElementType::Bool => ValueType::Bool,
        }),
    })
}

fn element(json: &Json) -> Result<Option<ElementType>, &'static str> {
    match json {
        Json::Null => Ok(None),
        Json::F64(value) if value.is_nan() => Ok(None),
        Json::I64(_) | Json::U64(_) | Json::F64(_) => Ok(Some(ElementType::Number)),
        Json::String(_) => Ok(Some(ElementType::Text)),
        Json::Bool(_) => Ok(Some(ElementType::Bool)),
        Json::List(_) => Err("a list within a list"),
        Json::Map(_) => Err("a map within a list"),
    }
}

fn type_of_list(values: &[Json]) -> Result<ListType, &'static str> {
    let mut list = ListType {
        len: values.len(),
        ..ListType::default()
    };
    for value in values {
        match (list.element, element(value)?) {
            (_, None) => list.has_null = true,
            (None, own) => list.element = own,
            (Some(known), Some(own)) if known == own => {}
            _ => return Err("a list of values of several kinds"),
        }
    }
    Ok(list)
}

/// Of a column of lists, the length is that of the last one, as in the Python SDK.
fn joined(known: &ListType, own: ListType) -> Result<ListType, Misfit> {
    match (known.element, own.element) {
        (Some(one), Some(other)) if one != other => Err(Misfit::of(
            &ValueType::List(own),
            &ValueType::List(known.clone()),
        )),
        (element, other) => Ok(ListType {
            element: element.or(other),
            has_null: known.has_null || own.has_null,
            len: own.len,
        }),
    }
}

impl<T: Scalar> From<T> for Cell {
    fn from(value: T) -> Self {
        Self(Kind::Json(value.into_json()))
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::NONE, Into::into)
    }
}

impl<T: Scalar> From<Vec<T>> for Cell {
    fn from(values: Vec<T>) -> Self {
        let values = values.into_iter().map(IntoJson::into_json);
        Self(Kind::Json(Json::List(values.collect())))
    }
}

impl<T: Scalar> From<Vec<Option<T>>> for Cell {
    fn from(values: Vec<Option<T>>) -> Self {
        let values = values.into_iter();
        let values = values.map(|value| value.map_or(Json::Null, IntoJson::into_json));
        Self(Kind::Json(Json::List(values.collect())))
    }
}

impl<T: Scalar + Clone> From<&[T]> for Cell {
    fn from(values: &[T]) -> Self {
        values.to_vec().into()
    }
}

impl<T: Scalar, const N: usize> From<[T; N]> for Cell {
    fn from(values: [T; N]) -> Self {
        Vec::from(values).into()
    }
}

/// Numbers, texts, truth values, null and lists of them; a map is refused by
/// [`add_row`](crate::Table::add_row).
impl From<serde_json::Value> for Cell {
    fn from(value: serde_json::Value) -> Self {
        Self(Kind::Json(value.into()))
    }
}

impl From<Image> for Cell {
    fn from(image: Image) -> Self {
        Self(Kind::Image(Box::new(image)))
    }
}

impl From<&Image> for Cell {
    fn from(image: &Image) -> Self {
        image.clone().into()
    }
}

/// A row of a [`Table`](crate::Table): a tuple of up to 16 values, or a vector or an array of
/// [`Cell`]s or of what makes one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no row of a table",
    label = "a row is a tuple of up to 16 values, or a vector or an array",
    note = "a value is a number, a text, a truth value, an `Image`, a vector or an array of one of the \
            first three, an `Option` of these, or a `Cell`; one alone is a row as `(value,)`",
    note = "more than 16 values go as `vec![Cell::from(a), Cell::from(b), …]`"
)]
pub trait IntoRow {
    /// A cell for each column.
    fn into_cells(self) -> Vec<Cell>;
}

impl<C: Into<Cell>> IntoRow for Vec<C> {
    fn into_cells(self) -> Vec<Cell> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<C: Into<Cell>, const N: usize> IntoRow for [C; N] {
    fn into_cells(self) -> Vec<Cell> {
        self.into_iter().map(Into::into).collect()
    }
}

macro_rules! tuples {
    ($($name:ident)*) => {
        tuples!(@ [] $($name)*);
    };
    (@ [$($done:ident)*] $next:ident $($rest:ident)*) => {
        impl<$($done: Into<Cell>,)* $next: Into<Cell>> IntoRow for ($($done,)* $next,) {
            fn into_cells(self) -> Vec<Cell> {
                #[allow(non_snake_case, reason = "the names of the types serve for the values")]
                let ($($done,)* $next,) = self;
                vec![$($done.into(),)* $next.into()]
            }
        }
        tuples!(@ [$($done)* $next] $($rest)*);
    };
    (@ [$($done:ident)*]) => {};
}

tuples!(A B C D E F G H I J K L M N O P);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_from_tuples_and_lists() {
        let texts = |row: Vec<Cell>| -> Vec<String> {
            let text = |cell: &Cell| match &cell.0 {
                Kind::Json(json) => json.to_text(),
                Kind::Image(_) => "image".into(),
            };
            row.iter().map(text).collect()
        };
        let image = || Image::from(crate::Pixels::new(1, 1, crate::Mode::L, vec![0]).unwrap());
        assert_eq!(
            texts(
                (
                    1_u8,
                    "a",
                    String::from("b"),
                    Some(0.5),
                    None::<bool>,
                    image()
                )
                    .into_cells()
            ),
            ["1", "\"a\"", "\"b\"", "0.5", "null", "image"]
        );
        assert_eq!(
            texts((&image(), vec![1, 2], vec![Some(1), None]).into_cells()),
            ["image", "[1,2]", "[1,null]"]
        );
        assert_eq!(texts([1.5, f64::NAN].into_cells()), ["1.5", "NaN"]);
        assert_eq!(
            texts(vec![Cell::NONE, "x".into()].into_cells()),
            ["null", "\"x\""]
        );
    }
}
