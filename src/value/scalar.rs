//! Plain values.

use super::Json;

/// A plain value: what a list, or a cell of a table, can hold through `From`.
///
/// Sealed; implemented for `bool`, every integer up to 64 bits, `f32`, `f64`, `String` and
/// `&str`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no plain value",
    label = "expected a number, a text or a truth value",
    note = "in a row of a run, anything that serde describes is logged by `Value::from_serialize`; a \
            cell of a table also holds an `Image`, an `Option` or a vector"
)]
pub trait Scalar: sealed::Sealed {}

pub(crate) mod sealed {
    pub trait Sealed {
        fn into_json(self) -> super::Json;
    }
}

macro_rules! scalar {
    ($($t:ty: $value:ident => $json:expr),* $(,)?) => {$(
        impl sealed::Sealed for $t {
            fn into_json(self) -> Json {
                let $value = self;
                $json
            }
        }
        impl Scalar for $t {}
    )*};
}

scalar! {
    bool: v => Json::Bool(v),
    i8: v => Json::I64(v.into()),
    i16: v => Json::I64(v.into()),
    i32: v => Json::I64(v.into()),
    i64: v => Json::I64(v),
    isize: v => Json::I64(v as i64),
    u8: v => Json::U64(v.into()),
    u16: v => Json::U64(v.into()),
    u32: v => Json::U64(v.into()),
    u64: v => Json::U64(v),
    usize: v => Json::U64(v as u64),
    f32: v => Json::F64(v.into()),
    f64: v => Json::F64(v),
    String: v => Json::String(v),
    &str: v => Json::String(v.to_owned()),
    &String: v => Json::String(v.clone()),
}
