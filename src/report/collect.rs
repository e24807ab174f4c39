//! Gathers a study's tables from the folders of its artifacts into one folder.

use crate::error::{At, Error, Result, io};
use crate::tables;
use polars::prelude::{DataFrame, KeyValueMetadata, ParquetCompression, ParquetWriter};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Finds the tables of several folders, by name: where a table lies in more than one (training, once
/// per variant), its files in the order of the folders.
pub(super) fn find(folders: &[PathBuf]) -> Result<BTreeMap<String, Vec<PathBuf>>> {
    let mut tables: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for folder in folders {
        let entries = fs::read_dir(folder).map_err(|error| io("list", folder, error))?;
        for entry in entries {
            let path = entry.map_err(|error| io("list", folder, error))?.path();
            let is_table = path.extension().is_some_and(|extension| extension == "parquet");
            if let (true, Some(name)) = (is_table, path.file_stem().and_then(|stem| stem.to_str())) {
                tables.entry(name.to_owned()).or_default().push(path.clone());
            }
        }
    }
    Ok(tables)
}

/// Copies one table into `folder`, joined if it lies in several files.
pub(super) fn gather(name: &str, files: &[PathBuf], folder: &Path) -> Result<()> {
    let target = folder.join(format!("{name}.parquet"));
    match files {
        [only] if *only == target => Ok(()),
        [only] => fs::copy(only, &target).map(|_| ()).map_err(|error| io("copy", only, error)),
        several => {
            let mut joined = join(several)?;
            let file = File::create(&target).map_err(|error| io("create", &target, error))?;
            ParquetWriter::new(file)
                .with_compression(ParquetCompression::Zstd(None))
                .set_parallel(false)
                .finish(&mut joined)
                .at(target.display())?;
            Ok(())
        }
    }
}

/// Writes into every table of `folder` that parts of it were made by other code: as `deltascope.older`, among the values
/// that a Parquet file holds beside its columns.
pub(super) fn mark(folder: &Path, older: &str) -> Result<()> {
    for path in find(&[folder.to_owned()])?.into_values().flatten() {
        let mut frame = tables::read_frame(&path)?;
        let file = File::create(&path).map_err(|error| io("create", &path, error))?;
        ParquetWriter::new(file)
            .with_compression(ParquetCompression::Zstd(None))
            .set_parallel(false)
            .with_key_value_metadata(Some(KeyValueMetadata::from_static(vec![(
                "deltascope.older".to_owned(),
                older.to_owned(),
            )])))
            .finish(&mut frame)
            .at(path.display())?;
    }
    Ok(())
}

fn join(files: &[PathBuf]) -> Result<DataFrame> {
    let mut joined: Option<DataFrame> = None;
    for path in files {
        let frame = tables::read_frame(path)?;
        joined = Some(match joined {
            None => frame,
            Some(sofar) => sofar
                .vstack(&frame)
                .map_err(|error| {
                    Error::work(format!("its columns are not those of the files before it: {error}"))
                })
                .at(path.display())?,
        });
    }
    joined.ok_or_else(|| Error::work("no file to join"))
}
