//! Parquet tables with documented columns.
//!
//! A table's columns, their types and their meaning stand in one place, [`catalogue`]. Rows are plain
//! structs that derive `Serialize` and `Deserialize`; [`write()`] and [`read()`] move them to and from
//! Parquet and refuse a row whose fields are not the catalogue's. Fields that exist once per variant
//! (`norm_base`, `norm_sft`, …) are a flattened `BTreeMap` whose keys start with a documented prefix.
//!
//! Files that others wrote (training data, problems) are read by [`read_rows`], as JSON objects. All files are read through
//! the one door for files of others (`foreign`), our own tables too: they may be damaged, or somebody else's.
//!
//! Floats that are not finite become nulls, and nulls are read as `None`.

mod calendar;
pub mod catalogue;
mod convert;
mod foreign;

pub use catalogue::{ColumnType, TableSpec};
pub use foreign::{read_rows, read_rows_and_notes};

use crate::error::{At, Result, io};
use crate::foreign as door;
use polars::prelude::{ParallelStrategy, ParquetCompression, ParquetReader, ParquetWriter, SerReader};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::Cursor;
use std::path::Path;

/// The largest table that is read, in bytes.
const LIMIT: u64 = 16 << 30;

/// Writes `rows` as Parquet. Equal rows give equal bytes.
///
/// # Errors
/// If a row's fields are not those of `spec`, or the file cannot be written.
pub fn write<R: Serialize>(path: &Path, spec: &TableSpec, rows: &[R]) -> Result<()> {
    let mut frame = convert::to_frame(spec, rows).at(format!("table `{}`", spec.name))?;
    let file = File::create(path).map_err(|error| io("create", path, error))?;
    ParquetWriter::new(file)
        .with_compression(ParquetCompression::Zstd(None))
        .set_parallel(false)
        .finish(&mut frame)
        .at(path.display())?;
    Ok(())
}

/// Reads a table as rows.
///
/// # Errors
/// If the file is missing, is not Parquet, or holds columns that `R` does not expect.
pub fn read<R: DeserializeOwned>(path: &Path) -> Result<Vec<R>> {
    let frame = read_frame(path)?;
    door::guarded(path, || convert::from_frame(&frame).at(path.display()))
}

/// Reads a table as a polars data frame, for ad-hoc queries and notebooks.
///
/// # Errors
/// If the file is missing or is not Parquet.
pub fn read_frame(path: &Path) -> Result<polars::prelude::DataFrame> {
    let bytes = door::bytes(path, LIMIT)?;
    door::parquet::check(&bytes).at(path.display())?;
    // On this thread alone, where a panic is caught and says nothing.
    let reader = ParquetReader::new(Cursor::new(bytes)).read_parallel(ParallelStrategy::None);
    door::guarded(path, || reader.finish().at(path.display()))
}
