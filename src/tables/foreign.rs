//! Rows of files that others wrote, as JSON objects: JSONL, or Parquet with lists and structs.
//!
//! Datasets of TRL and verl hold conversations, which in Parquet are lists of structs. polars reads those only
//! when it is built with more of itself, so these files are read by the crates beneath it: column chunks
//! become Arrow arrays, and arrays become values.
//!
//! A column of categories (pandas' `category`, Arrow's dictionaries) holds what its categories are. Dates, times and
//! decimals become texts. A column of a type that has no counterpart in JSON (bytes, durations) is left out, and named.

use super::calendar;
use crate::error::{At, Error, Result};
use crate::foreign::{
    self,
    parquet::{self, Budget},
};
use polars_arrow::array::{
    Array, BooleanArray, FixedSizeListArray, ListArray, PrimitiveArray, StructArray, Utf8ViewArray,
};
use polars_arrow::datatypes::{ArrowDataType, Field};
use polars_arrow::types::NativeType;
use polars_parquet::arrow::read::{
    BasicDecompressor, PageReader, RowGroupMetadata, column_iter_to_arrays, infer_schema, read_metadata,
};
use serde_json::{Map, Value};
use std::io::Cursor;
use std::path::Path;

/// The largest file of rows, in bytes.
const LIMIT: u64 = 64 << 30;

/// The rows of a `.parquet` file or, whatever else it is called, of a file with one JSON object a line.
///
/// # Errors
/// If the file cannot be read or is not what its name says; the error names the line.
pub fn read_rows(path: &Path) -> Result<Vec<Value>> {
    read_rows_and_notes(path).map(|(rows, _)| rows)
}

/// The rows as [`read_rows`] reads them, and a sentence for each column that is left out: one whose values have no
/// counterpart in JSON.
///
/// # Errors
/// As [`read_rows`].
pub fn read_rows_and_notes(path: &Path) -> Result<(Vec<Value>, Vec<String>)> {
    let bytes = foreign::bytes(path, LIMIT)?;
    let parquet = path.extension().is_some_and(|extension| extension == "parquet");
    let (rows, left_out) = match parquet {
        true => foreign::guarded(path, || from_parquet(&bytes).at(path.display()))?,
        false => (from_lines(&bytes).at(path.display())?, Vec::new()),
    };
    let note = |column: String| format!("{}: {column}, and is left out of the rows", path.display());
    Ok((rows, left_out.into_iter().map(note).collect()))
}

fn from_lines(bytes: &[u8]) -> Result<Vec<Value>> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error::request(format!("expected UTF-8 text, found other bytes: {error}")))?;
    let parse = |(number, line): (usize, &str)| {
        serde_json::from_str(line)
            .map_err(|error| Error::request(format!("expected one JSON object a line: {error}")))
            .at(format!("line {}", number + 1))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(parse).collect()
}

/// The rows, and the columns that are left out with what they hold.
fn from_parquet(bytes: &[u8]) -> Result<(Vec<Value>, Vec<String>)> {
    parquet::check(bytes)?;
    let mut budget = Budget::of(bytes.len());
    let damaged = |error| Error::request(format!("not a Parquet file that can be read: {error}"));
    let metadata = read_metadata(&mut Cursor::new(bytes)).map_err(damaged)?;
    let schema = infer_schema(&metadata).map_err(damaged)?;
    let (fields, others): (Vec<Field>, Vec<Field>) = schema
        .iter_values()
        .map(|field| Field { dtype: spelled_out(&field.dtype), ..field.clone() })
        .partition(|field| has_values(&field.dtype));
    let left_out = |field: Field| {
        format!("column `{}` holds {:?}, which has no counterpart in JSON", field.name, field.dtype)
    };
    let mut rows: Vec<Map<String, Value>> = Vec::new();
    for group in &metadata.row_groups {
        let first = rows.len();
        budget.take(group.num_rows().saturating_mul(size_of::<Value>()))?;
        rows.resize(first + group.num_rows(), Map::new());
        for field in &fields {
            let place = || format!("column `{}`", field.name);
            let values = column(bytes, group, field, &mut budget).at(place())?;
            if values.len() != group.num_rows() {
                let message = format!("expected {} values, found {}", group.num_rows(), values.len());
                return Err(Error::request(message).at(place()));
            }
            for (row, value) in rows.iter_mut().skip(first).zip(values) {
                row.insert(field.name.to_string(), value);
            }
        }
    }
    Ok((rows.into_iter().map(Value::Object).collect(), others.into_iter().map(left_out).collect()))
}

/// The values of one column in one group of rows.
fn column(bytes: &[u8], group: &RowGroupMetadata, field: &Field, budget: &mut Budget) -> Result<Vec<Value>> {
    let (mut pages, mut types) = (Vec::new(), Vec::new());
    for chunk in group.columns_under_root_iter(&field.name).into_iter().flatten() {
        let range = chunk.byte_range();
        let bytes = bytes
            .get(range.start as usize..range.end as usize)
            .ok_or_else(|| Error::request("the file ends before the column does"))?;
        let reader = PageReader::new(Cursor::new(bytes.to_vec().into()), chunk, Vec::new(), usize::MAX);
        pages.push(BasicDecompressor::new(reader, Vec::new()));
        types.push(&chunk.descriptor().descriptor.primitive_type);
    }
    let (arrays, _) = column_iter_to_arrays(pages, types, field.clone(), None)?;
    let mut found = Vec::new();
    for array in &arrays {
        // Beside its value, each cell has the name of its column.
        budget.take(array.len().saturating_mul(field.name.len() + ENTRY))?;
        found.append(&mut values(array.as_ref(), budget)?);
    }
    Ok(found)
}

/// What a key and its place in an object take, roughly.
const ENTRY: usize = 64;

/// The type of the values where the schema says that they are numbered: in the file they are stored as themselves.
fn spelled_out(kind: &ArrowDataType) -> ArrowDataType {
    use ArrowDataType as Kind;
    match kind {
        Kind::Dictionary(_, values, _) => match **values {
            Kind::Utf8 | Kind::LargeUtf8 => Kind::Utf8View,
            ref other => other.clone(),
        },
        other => other.clone(),
    }
}

/// Whether columns of this type have values in JSON.
fn has_values(kind: &ArrowDataType) -> bool {
    use ArrowDataType as Kind;
    match kind {
        Kind::LargeList(field) | Kind::FixedSizeList(field, _) => has_values(&field.dtype),
        Kind::Struct(fields) => fields.iter().all(|field| has_values(&field.dtype)),
        Kind::Null | Kind::Boolean | Kind::Utf8View | Kind::Float32 | Kind::Float64 => true,
        Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 => true,
        Kind::UInt8 | Kind::UInt16 | Kind::UInt32 | Kind::UInt64 => true,
        Kind::Date32 | Kind::Timestamp(..) | Kind::Time32(_) | Kind::Time64(_) => true,
        Kind::Decimal(..) | Kind::Int128 => true,
        _ => false,
    }
}

/// The values of an array of a type that [`has_values`]; null where it holds none. Dates and times become texts in ISO
/// 8601, and numbers of more digits than JSON's readers keep become texts, too.
fn values(array: &dyn Array, budget: &mut Budget) -> Result<Vec<Value>> {
    use ArrowDataType as Kind;
    budget.take(array.len().saturating_mul(size_of::<Value>()))?;
    match array.dtype() {
        Kind::Null => Ok(vec![Value::Null; array.len()]),
        Kind::Boolean => each::<BooleanArray>(array, |array, row| Ok(array.value(row).into())),
        Kind::Utf8View => each::<Utf8ViewArray>(array, |array, row| {
            budget.take(array.value(row).len())?;
            Ok(array.value(row).into())
        }),
        Kind::Float32 => numbers::<f32>(array),
        Kind::Float64 => numbers::<f64>(array),
        Kind::Int8 => numbers::<i8>(array),
        Kind::Int16 => numbers::<i16>(array),
        Kind::Int32 => numbers::<i32>(array),
        Kind::Int64 => numbers::<i64>(array),
        Kind::UInt8 => numbers::<u8>(array),
        Kind::UInt16 => numbers::<u16>(array),
        Kind::UInt32 => numbers::<u32>(array),
        Kind::UInt64 => numbers::<u64>(array),
        Kind::Date32 => texts::<i32>(array, budget, |days| calendar::date(days.into())),
        Kind::Timestamp(unit, zone) => {
            let (unit, is_universal) = (*unit, zone.is_some());
            texts::<i64>(array, budget, |ticks| calendar::moment(ticks, unit, is_universal))
        }
        Kind::Time32(unit) => texts::<i32>(array, budget, |ticks| calendar::time(ticks.into(), *unit)),
        Kind::Time64(unit) => texts::<i64>(array, budget, |ticks| calendar::time(ticks, *unit)),
        Kind::Int128 => texts::<i128>(array, budget, |number| number.to_string()),
        Kind::Decimal(_, scale) => texts::<i128>(array, budget, |number| calendar::decimal(number, *scale)),
        Kind::LargeList(_) => {
            each::<ListArray<i64>>(array, |array, row| Ok(values(array.value(row).as_ref(), budget)?.into()))
        }
        Kind::FixedSizeList(..) => each::<FixedSizeListArray>(array, |array, row| {
            Ok(values(array.value(row).as_ref(), budget)?.into())
        }),
        Kind::Struct(_) => structs(array, budget),
        other => Err(Error::work(format!("a column of {other:?} has no values in JSON"))),
    }
}

fn each<A: Array>(
    array: &dyn Array,
    mut value: impl FnMut(&A, usize) -> Result<Value>,
) -> Result<Vec<Value>> {
    let wrong =
        || Error::request(format!("the column does not hold {:?}, which its schema says", array.dtype()));
    let typed = array.as_any().downcast_ref::<A>().ok_or_else(wrong)?;
    (0..array.len()).map(|row| if array.is_null(row) { Ok(Value::Null) } else { value(typed, row) }).collect()
}

fn numbers<T: NativeType + Into<Value>>(array: &dyn Array) -> Result<Vec<Value>> {
    each::<PrimitiveArray<T>>(array, |array, row| Ok(array.value(row).into()))
}

fn texts<T: NativeType>(
    array: &dyn Array,
    budget: &mut Budget,
    text: impl Fn(T) -> String,
) -> Result<Vec<Value>> {
    each::<PrimitiveArray<T>>(array, |array, row| {
        let text = text(array.value(row));
        budget.take(text.len())?;
        Ok(text.into())
    })
}

fn structs(array: &dyn Array, budget: &mut Budget) -> Result<Vec<Value>> {
    let wrong = || Error::request("the column does not hold the fields that its schema names");
    let typed = array.as_any().downcast_ref::<StructArray>().ok_or_else(wrong)?;
    let mut rows = vec![Map::new(); array.len()];
    for (field, column) in typed.fields().iter().zip(typed.values()) {
        budget.take(array.len().saturating_mul(field.name.len() + ENTRY))?;
        for (row, value) in rows.iter_mut().zip(values(column.as_ref(), budget)?) {
            row.insert(field.name.to_string(), value);
        }
    }
    let whole = rows.into_iter().enumerate();
    Ok(whole.map(|(row, object)| if array.is_null(row) { Value::Null } else { object.into() }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> Vec<Value> {
        read_rows(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/datasets").join(name)).unwrap()
    }

    /// The files hold the same rows, written by pandas and pyarrow from the same objects.
    #[test]
    fn parquet_holds_what_json_lines_hold() {
        for name in ["messages", "prompt_completion", "preferences", "verl", "categories"] {
            let (lines, columns) = (fixture(&format!("{name}.jsonl")), fixture(&format!("{name}.parquet")));
            assert!(lines.len() >= 4);
            assert_eq!(columns, lines, "{name}");
        }
    }

    /// What pyarrow wrote of Python's dates, times and decimals; what JSON has no word for is named.
    #[test]
    fn dates_and_decimals_become_texts_and_bytes_are_left_out_by_name() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/datasets/kinds.parquet");
        let (rows, notes) = read_rows_and_notes(&path).unwrap();
        let expected = serde_json::json!([
            {"when": "2024-02-29", "at": "2024-02-29T12:30:00.5", "zoned": "2024-02-29T12:30:00Z", "clock": "01:02:03",
             "price": "-1.50", "name": "a"},
            {"when": null, "at": null, "zoned": null, "clock": null, "price": null, "name": "b"},
            {"when": "1969-12-31", "at": "1969-12-31T23:59:59.999999", "zoned": "2001-01-01T00:00:00Z",
             "clock": "23:59:59.000005", "price": "12.00", "name": "c"},
        ]);
        assert_eq!(serde_json::Value::from(rows), expected);
        let about = |name: &str| notes.iter().any(|note| note.contains(&format!("column `{name}`")));
        assert!(about("blob") && about("half") && about("took") && notes.len() == 3, "{notes:?}");
    }

    #[test]
    fn only_a_regular_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.jsonl");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(read_rows(&pipe).unwrap_err().to_string().contains("regular file"));
        assert!(read_rows(Path::new("/dev/zero")).unwrap_err().to_string().contains("regular file"));
    }

    #[test]
    fn a_file_that_is_none_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            read_rows(&path).unwrap_err().to_string()
        };
        let error = write("x.parquet", b"PAR1 and then nothing of the kind");
        assert!(error.contains("x.parquet: not a Parquet file"), "{error}");
        let error = write("x.jsonl", b"{\"a\": 1}\n\n{\"a\": \n");
        assert!(error.contains("x.jsonl: line 3: expected one JSON object a line"), "{error}");
    }
}
