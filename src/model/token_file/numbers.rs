//! The numbers of a token file: whole ones, whatever type they are stored as.

use crate::error::{Error, Result};
use safetensors::{Dtype, tensor::TensorView};

/// Rows of whole numbers.
pub(super) struct Numbers {
    pub(super) name: String,
    pub(super) dims: Vec<usize>,
    values: Vec<Option<i128>>,
    /// What stands where there is no whole number.
    shown: Vec<String>,
    width: usize,
}

impl Numbers {
    /// Reads a tensor of integers, truths, or floating-point numbers. A number that is not whole, or too large to be
    /// exact in its type, is none: whoever asks for it says so.
    ///
    /// # Errors
    /// If the type is another one.
    pub(super) fn read(name: &str, view: &TensorView<'_>) -> Result<Self> {
        fn each<const BYTES: usize>(data: &[u8], one: impl Fn([u8; BYTES]) -> Number) -> Vec<Number> {
            data.as_chunks::<BYTES>().0.iter().map(|bytes| one(*bytes)).collect()
        }
        let data = view.data();
        let numbers = match view.dtype() {
            Dtype::BOOL | Dtype::U8 => each(data, |[byte]| Number::Whole(byte.into())),
            Dtype::I8 => each(data, |[byte]| Number::Whole((byte as i8).into())),
            Dtype::I16 => each(data, |bytes| Number::Whole(i16::from_le_bytes(bytes).into())),
            Dtype::U16 => each(data, |bytes| Number::Whole(u16::from_le_bytes(bytes).into())),
            Dtype::I32 => each(data, |bytes| Number::Whole(i32::from_le_bytes(bytes).into())),
            Dtype::U32 => each(data, |bytes| Number::Whole(u32::from_le_bytes(bytes).into())),
            Dtype::I64 => each(data, |bytes| Number::Whole(i64::from_le_bytes(bytes).into())),
            Dtype::U64 => each(data, |bytes| Number::Whole(u64::from_le_bytes(bytes).into())),
            Dtype::F16 => each(data, |bytes| float(half::f16::from_le_bytes(bytes).into(), 11)),
            Dtype::BF16 => each(data, |bytes| float(half::bf16::from_le_bytes(bytes).into(), 8)),
            Dtype::F32 => each(data, |bytes| float(f32::from_le_bytes(bytes).into(), 24)),
            Dtype::F64 => each(data, |bytes| float(f64::from_le_bytes(bytes), 53)),
            other => {
                return Err(Error::request(format!("`{name}`: expected whole numbers, found {other:?}")));
            }
        };
        let dims = view.shape().to_vec();
        let width = dims.last().copied().unwrap_or(1);
        let (mut values, mut shown) = (Vec::with_capacity(numbers.len()), Vec::new());
        for number in numbers {
            match number {
                Number::Whole(whole) => values.push(Some(whole)),
                Number::Other(found) => {
                    values.push(None);
                    shown.push(found.to_string());
                }
            }
        }
        Ok(Self { name: name.to_owned(), dims, values, shown, width })
    }

    /// The number of rows of a tensor [rows, width].
    ///
    /// # Errors
    /// If it has another shape.
    pub(super) fn rows(&self) -> Result<usize> {
        match self.dims.as_slice() {
            [rows, _] => Ok(*rows),
            dims => Err(Error::request(format!("`{}`: expected [rows, width], found {dims:?}", self.name))),
        }
    }

    /// The numbers of one row.
    pub(super) fn row(&self, row: usize) -> &[Option<i128>] {
        self.values.get(row * self.width..(row + 1) * self.width).unwrap_or_default()
    }

    /// All numbers.
    pub(super) fn all(&self) -> &[Option<i128>] {
        &self.values
    }

    /// The error of a number that is not what was expected.
    pub(super) fn wrong(&self, row: usize, column: usize, expected: &str) -> Error {
        let index = row * self.width + column;
        let found = match self.values.get(index) {
            Some(Some(whole)) => whole.to_string(),
            _ => {
                let before = self.values.iter().take(index).filter(|value| value.is_none()).count();
                self.shown.get(before).cloned().unwrap_or_default()
            }
        };
        Error::request(format!(
            "`{}`, row {row}, column {column}: expected {expected}, found {found}",
            self.name
        ))
    }
}

enum Number {
    Whole(i128),
    Other(f64),
}

/// A floating-point number with so many bits before it is rounded.
fn float(number: f64, bits: i32) -> Number {
    let is_exact = number.fract() == 0.0 && number.abs() <= 2f64.powi(bits);
    if is_exact { Number::Whole(number as i128) } else { Number::Other(number) }
}
