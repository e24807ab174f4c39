//! Rows to data frames and back, by way of JSON values: the catalogue decides the column types.

use super::catalogue::{ColumnType, TableSpec};
use crate::error::{Error, Result};
use polars::prelude::{AnyValue, Column, DataFrame};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub(super) fn to_frame<R: Serialize>(spec: &TableSpec, rows: &[R]) -> Result<DataFrame> {
    let objects = rows.iter().map(object).collect::<Result<Vec<_>>>()?;
    let names = column_names(spec, &objects)?;
    let columns =
        names.iter().map(|(name, kind)| column(name, *kind, &objects)).collect::<Result<Vec<_>>>()?;
    Ok(DataFrame::new(rows.len(), columns)?)
}

fn object<R: Serialize>(row: &R) -> Result<Map<String, Value>> {
    match serde_json::to_value(row) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(Error::work(format!("a table row must be a struct, found {other}"))),
        Err(error) => Err(Error::work(format!("a table row cannot be serialised: {error}"))),
    }
}

/// The fixed columns in catalogue order, then the per-variant ones in the order of the first row.
fn column_names(spec: &TableSpec, objects: &[Map<String, Value>]) -> Result<Vec<(String, ColumnType)>> {
    let mut names: Vec<(String, ColumnType)> = spec
        .columns
        .iter()
        .filter(|column| !column.per_variant)
        .map(|column| (column.name.to_owned(), column.kind))
        .collect();
    let Some(first) = objects.first() else { return Ok(names) };
    for key in first.keys() {
        match spec.column(key) {
            Some(column) if column.per_variant => names.push((key.clone(), column.kind)),
            Some(_) => {}
            None => return Err(Error::work(format!("column `{key}` is not documented in the catalogue"))),
        }
    }
    for (index, object) in objects.iter().enumerate() {
        if let Some((missing, _)) = names.iter().find(|(name, _)| !object.contains_key(name)) {
            return Err(Error::work(format!("row {index} has no column `{missing}`")));
        }
        if object.len() != names.len() {
            return Err(Error::work(format!(
                "row {index} has {} columns, expected {}",
                object.len(),
                names.len()
            )));
        }
    }
    Ok(names)
}

fn column(name: &str, kind: ColumnType, objects: &[Map<String, Value>]) -> Result<Column> {
    let values = || objects.iter().map(|object| object.get(name).unwrap_or(&Value::Null));
    let mismatch =
        |value: &Value| Error::work(format!("column `{name}` holds {value}, which is not {kind:?}"));
    let series = match kind {
        ColumnType::Text => {
            Column::new(name.into(), collect(values(), |value| value.as_str().map(str::to_owned), mismatch)?)
        }
        ColumnType::Integer => Column::new(name.into(), collect(values(), Value::as_i64, mismatch)?),
        ColumnType::Float => Column::new(name.into(), collect(values(), Value::as_f64, mismatch)?),
        ColumnType::Boolean => Column::new(name.into(), collect(values(), Value::as_bool, mismatch)?),
    };
    Ok(series)
}

fn collect<'a, T>(
    values: impl Iterator<Item = &'a Value>,
    convert: impl Fn(&Value) -> Option<T>,
    mismatch: impl Fn(&Value) -> Error,
) -> Result<Vec<Option<T>>> {
    values
        .map(|value| match value {
            Value::Null => Ok(None),
            value => convert(value).map(Some).ok_or_else(|| mismatch(value)),
        })
        .collect()
}

pub(super) fn from_frame<R: DeserializeOwned>(frame: &DataFrame) -> Result<Vec<R>> {
    (0..frame.height())
        .map(|row| {
            let object: Map<String, Value> = frame
                .columns()
                .iter()
                .map(|column| Ok((column.name().to_string(), json(column.get(row)?)?)))
                .collect::<Result<_>>()?;
            serde_json::from_value(Value::Object(object)).map_err(|error| {
                Error::work(format!("row {row} is not what this version of deltascope expects: {error}"))
                    .hint("the file was written by another version or another program; run the study again")
            })
        })
        .collect()
}

fn json(value: AnyValue<'_>) -> Result<Value> {
    Ok(match value {
        AnyValue::Null => Value::Null,
        AnyValue::Boolean(value) => value.into(),
        AnyValue::String(value) => value.into(),
        AnyValue::StringOwned(value) => value.as_str().into(),
        AnyValue::Int64(value) => value.into(),
        AnyValue::Int32(value) => value.into(),
        AnyValue::UInt32(value) => value.into(),
        AnyValue::UInt64(value) => value.into(),
        AnyValue::Float64(value) => value.into(),
        AnyValue::Float32(value) => value.into(),
        other => return Err(Error::work(format!("a column of type {} is not supported", other.dtype()))),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{catalogue, read, write};
    use serde::{Deserialize, Serialize};
    use std::collections::BTreeMap;

    #[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
    struct Row {
        feature: i64,
        present: String,
        change: String,
        class: String,
        #[serde(flatten)]
        per_variant: BTreeMap<String, Option<f64>>,
    }

    fn row(norm: f64) -> Row {
        let per_variant = [("norm_base".to_owned(), Some(norm)), ("norm_sft".to_owned(), None)].into();
        Row {
            feature: 3,
            present: "base+sft".into(),
            change: "same".into(),
            class: "shared".into(),
            per_variant,
        }
    }

    const SPEC: catalogue::TableSpec = catalogue::TableSpec {
        name: "test",
        about: "",
        columns: &[
            catalogue::fixed("feature", catalogue::ColumnType::Integer, ""),
            catalogue::fixed("present", catalogue::ColumnType::Text, ""),
            catalogue::fixed("change", catalogue::ColumnType::Text, ""),
            catalogue::fixed("class", catalogue::ColumnType::Text, ""),
            catalogue::per_variant("norm_", catalogue::ColumnType::Float, ""),
        ],
    };

    #[test]
    fn rows_survive_parquet_and_equal_rows_give_equal_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("1.parquet"), folder.path().join("2.parquet"));
        let rows = vec![row(1.0 / 3.0), row(2.5)];
        write(&one, &SPEC, &rows).unwrap();
        write(&two, &SPEC, &rows).unwrap();
        assert_eq!(read::<Row>(&one).unwrap(), rows);
        assert_eq!(std::fs::read(one).unwrap(), std::fs::read(two).unwrap());
    }

    #[test]
    fn an_undocumented_column_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut bad = row(1.0);
        bad.per_variant.insert("secret".into(), None);
        let error = write(&folder.path().join("x.parquet"), &SPEC, &[bad]).unwrap_err();
        assert!(error.to_string().contains("`secret` is not documented"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_table_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        std::fs::write(&path, b"not parquet").unwrap();
        assert!(read::<Row>(&path).unwrap_err().to_string().contains("x.parquet"));
    }
}
