//! Zip archives, as PyTorch and NumPy write them: members that are stored, or deflated (`numpy.savez_compressed`).

use crate::error::{At, Error, Result, io};
use flate2::Crc;
use flate2::read::DeflateDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use zip::{CompressionMethod, ZipArchive};

/// A member may be so many times as long as the whole archive: weights hardly shrink, and what does is meant to fill
/// memory.
const EXPANDS: u64 = 64;

/// An open archive.
pub(super) struct Archive {
    zip: ZipArchive<BufReader<File>>,
    path: PathBuf,
    length: u64,
}

impl Archive {
    /// # Errors
    /// If the file cannot be read or is no archive; `hint` says how to write one.
    pub(super) fn open(path: &Path, hint: &str) -> Result<Self> {
        let file = File::open(path).map_err(|error| io("open", path, error))?;
        let length = file.metadata().map_err(|error| io("inspect", path, error))?.len();
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|error| {
            Error::work(format!("not an archive that can be read: {error}")).hint(hint).at(path.display())
        })?;
        Ok(Self { zip, path: path.to_owned(), length })
    }

    /// The names of all members.
    pub(super) fn names(&self) -> Vec<String> {
        self.zip.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect()
    }

    /// The bytes of a member, whatever its header claims.
    pub(super) fn read(&mut self, name: &str) -> Result<Vec<u8>> {
        let damaged = |what: String| Error::work(format!("member `{name}`: {what}"));
        let found = self.zip.index_for_name(name).map(|index| self.zip.by_index_raw(index));
        let member = found
            .ok_or_else(|| damaged("not in the archive".to_owned()))
            .and_then(|member| member.map_err(|error| damaged(error.to_string())))
            .at(self.path.display())?;
        // The zip crate is built without compression; flate2, which is here anyway, inflates.
        let (method, checksum) = (member.compression(), member.crc32());
        let reader: Box<dyn Read> = if method == CompressionMethod::STORE {
            Box::new(member)
        } else if method == CompressionMethod::DEFLATE {
            Box::new(DeflateDecoder::new(member))
        } else {
            return Err(damaged(format!("expected it stored or deflated, found {method}"))
                .hint("write the archive again without compression")
                .at(self.path.display()));
        };
        let mut bytes = Vec::new();
        let most = self.length.saturating_mul(EXPANDS);
        reader
            .take(most.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| damaged(error.to_string()))
            .at(self.path.display())?;
        if bytes.len() as u64 > most {
            return Err(damaged(format!(
                "expected at most {EXPANDS} times the bytes of the archive, found more"
            ))
            .at(self.path.display()));
        }
        let mut found = Crc::new();
        found.update(&bytes);
        if found.sum() != checksum {
            return Err(damaged("its bytes are not those of its checksum".to_owned()).at(self.path.display()));
        }
        Ok(bytes)
    }
}
