//! Rows of files that others wrote, as JSON objects: JSONL, or Parquet with lists and structs.
//!
//! Datasets of TRL and verl hold conversations, which in Parquet are lists of structs. polars reads those only
//! when it is built with more of itself, so these files are read by the crates beneath it: column chunks
//! become Arrow arrays, and arrays become values.
//!
//! A column of categories (pandas' `category`, Arrow's dictionaries) holds what its categories are. A column of a type
//! that has no counterpart in JSON (dates, bytes) is left out.

use crate::error::{At, Error, Result, io};
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

/// The rows of a `.parquet` file or, whatever else it is called, of a file with one JSON object a line.
///
/// # Errors
/// If the file cannot be read or is not what its name says; the error names the line.
pub fn read_rows(path: &Path) -> Result<Vec<Value>> {
    let bytes = std::fs::read(path).map_err(|error| io("read", path, error))?;
    let parquet = path.extension().is_some_and(|extension| extension == "parquet");
    if parquet { from_parquet(&bytes) } else { from_lines(&bytes) }.at(path.display())
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

fn from_parquet(bytes: &[u8]) -> Result<Vec<Value>> {
    let damaged = |error| Error::request(format!("not a Parquet file that can be read: {error}"));
    let metadata = read_metadata(&mut Cursor::new(bytes)).map_err(damaged)?;
    let schema = infer_schema(&metadata).map_err(damaged)?;
    let mut rows = Vec::with_capacity(metadata.num_rows);
    for group in &metadata.row_groups {
        let first = rows.len();
        rows.resize(first + group.num_rows(), Map::new());
        let fields =
            schema.iter_values().map(|field| Field { dtype: spelled_out(&field.dtype), ..field.clone() });
        for field in fields.filter(|field| has_values(&field.dtype)) {
            let values = column(bytes, group, &field).at(format!("column `{}`", field.name))?;
            for (row, value) in rows.iter_mut().skip(first).zip(values) {
                row.insert(field.name.to_string(), value);
            }
        }
    }
    Ok(rows.into_iter().map(Value::Object).collect())
}

/// The values of one column in one group of rows.
fn column(bytes: &[u8], group: &RowGroupMetadata, field: &Field) -> Result<Vec<Value>> {
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
    Ok(arrays.iter().flat_map(|array| values(array.as_ref())).collect())
}

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
        _ => false,
    }
}

/// The values of an array of a type that [`has_values`]; null where it holds none.
fn values(array: &dyn Array) -> Vec<Value> {
    use ArrowDataType as Kind;
    match array.dtype() {
        Kind::Boolean => each::<BooleanArray>(array, |array, row| array.value(row).into()),
        Kind::Utf8View => each::<Utf8ViewArray>(array, |array, row| array.value(row).into()),
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
        Kind::LargeList(_) => {
            each::<ListArray<i64>>(array, |array, row| values(array.value(row).as_ref()).into())
        }
        Kind::FixedSizeList(..) => {
            each::<FixedSizeListArray>(array, |array, row| values(array.value(row).as_ref()).into())
        }
        Kind::Struct(_) => structs(array),
        _ => vec![Value::Null; array.len()],
    }
}

fn each<A: Array>(array: &dyn Array, value: impl Fn(&A, usize) -> Value) -> Vec<Value> {
    let Some(typed) = array.as_any().downcast_ref::<A>() else { return vec![Value::Null; array.len()] };
    (0..array.len()).map(|row| if array.is_null(row) { Value::Null } else { value(typed, row) }).collect()
}

fn numbers<T: NativeType + Into<Value>>(array: &dyn Array) -> Vec<Value> {
    each::<PrimitiveArray<T>>(array, |array, row| array.value(row).into())
}

fn structs(array: &dyn Array) -> Vec<Value> {
    let Some(typed) = array.as_any().downcast_ref::<StructArray>() else { return Vec::new() };
    let mut rows = vec![Map::new(); array.len()];
    for (field, column) in typed.fields().iter().zip(typed.values()) {
        for (row, value) in rows.iter_mut().zip(values(column.as_ref())) {
            row.insert(field.name.to_string(), value);
        }
    }
    let whole = rows.into_iter().enumerate();
    whole.map(|(row, object)| if array.is_null(row) { Value::Null } else { object.into() }).collect()
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
