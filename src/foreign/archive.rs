//! Zip archives, as PyTorch and NumPy write them: members that are stored, or deflated (`numpy.savez_compressed`).
//!
//! An archive is held to what its own length allows before a byte of it is unpacked: its members lie beside each other,
//! so that they are together no longer than the file, each states how long it is when unpacked, and all together are at
//! most [`EXPANDS`] times as long. What is read counts against that budget, too, however often a member is asked for.

use super::{guarded, regular};
use crate::error::{At, Error, Result};
use flate2::Crc;
use flate2::read::DeflateDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use zip::{CompressionMethod, ZipArchive};

/// All members together may be so many times as long as the archive: weights hardly shrink, and what does is meant to
/// fill memory.
const EXPANDS: u64 = 64;

/// Archives this short may unpack to this much: headers of a few zeros shrink well.
const ALWAYS: u64 = 1 << 20;

/// An open archive.
pub(super) struct Archive {
    zip: ZipArchive<BufReader<File>>,
    path: PathBuf,
    /// The bytes that may still be unpacked.
    budget: u64,
}

/// A member that is being read.
pub(super) struct Member<'a> {
    reader: Box<dyn Read + 'a>,
    /// How many bytes it states it is when unpacked.
    size: u64,
    checksum: u32,
    found: Crc,
    read: u64,
    name: String,
}

impl Archive {
    /// # Errors
    /// If the file cannot be read, is no archive, or its members are more than its length allows; `hint` says how to
    /// write one.
    pub(super) fn open(path: &Path, hint: &str) -> Result<Self> {
        let (file, length) = regular(path, u64::MAX)?;
        let zip = guarded(path, || {
            ZipArchive::new(BufReader::new(file)).map_err(|error| {
                Error::work(format!("not an archive that can be read: {error}")).hint(hint).at(path.display())
            })
        })?;
        let budget = length.saturating_mul(EXPANDS).max(ALWAYS);
        let mut archive = Self { zip, path: path.to_owned(), budget };
        archive.measure(length).at(path.display())?;
        Ok(archive)
    }

    /// Holds what the members state against the length of the file.
    fn measure(&mut self, length: u64) -> Result<()> {
        let (mut packed, mut unpacked) = (0u64, 0u64);
        for index in 0..self.zip.len() {
            let member = self
                .zip
                .by_index_raw(index)
                .map_err(|error| Error::work(format!("member {index}: {error}")))?;
            packed = packed.saturating_add(member.compressed_size());
            unpacked = unpacked.saturating_add(member.size());
        }
        if packed > length {
            return Err(Error::work(format!(
                "its members take {packed} bytes, more than the {length} of the file: they lie on top of each other"
            )));
        }
        if unpacked > self.budget {
            return Err(Error::work(format!(
                "expected at most {EXPANDS} times the bytes of the archive, {length}, found members that unpack to {unpacked}"
            )));
        }
        Ok(())
    }

    /// The names of all members.
    pub(super) fn names(&self) -> Vec<String> {
        self.zip.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect()
    }

    /// A member, to be read bit by bit.
    pub(super) fn member(&mut self, name: &str) -> Result<Member<'_>> {
        let damaged = |what: String| Error::work(format!("member `{name}`: {what}"));
        let index = self
            .zip
            .index_for_name(name)
            .ok_or_else(|| damaged("not in the archive".to_owned()))
            .at(self.path.display())?;
        let member = self
            .zip
            .by_index_raw(index)
            .map_err(|error| damaged(error.to_string()))
            .at(self.path.display())?;
        // The zip crate is built without compression; flate2, which is here anyway, inflates.
        let (method, checksum, size) = (member.compression(), member.crc32(), member.size());
        if size > self.budget {
            return Err(damaged(format!("its {size} bytes are more than the archive may still unpack to"))
                .at(self.path.display()));
        }
        self.budget -= size;
        let reader: Box<dyn Read> = if method == CompressionMethod::STORE {
            Box::new(member)
        } else if method == CompressionMethod::DEFLATE {
            Box::new(DeflateDecoder::new(member))
        } else {
            return Err(damaged(format!("expected it stored or deflated, found {method}"))
                .hint("write the archive again without compression")
                .at(self.path.display()));
        };
        Ok(Member { reader, size, checksum, found: Crc::new(), read: 0, name: name.to_owned() })
    }

    /// The bytes of a member, whatever its header claims.
    pub(super) fn read(&mut self, name: &str) -> Result<Vec<u8>> {
        let path = self.path.clone();
        self.member(name)?.rest().at(path.display())
    }
}

impl Member<'_> {
    /// How many of its bytes are still to be read.
    pub(super) fn left(&self) -> u64 {
        self.size - self.read
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: u64) -> Result<Vec<u8>> {
        if count > self.left() {
            return Err(self.damaged(&format!("expected {count} more bytes, found {}", self.left())));
        }
        // What is allocated is what arrives: the size that is stated may be a lie.
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(count).read_to_end(&mut bytes);
        read.map_err(|error| self.damaged(&error.to_string()))?;
        if bytes.len() as u64 != count {
            let found = self.read + bytes.len() as u64;
            return Err(self.damaged(&format!("expected its {} bytes, found {found}", self.size)));
        }
        self.found.update(&bytes);
        self.read += count;
        Ok(bytes)
    }

    /// All that is still to be read, once the whole member is known to be what its checksum says.
    pub(super) fn rest(mut self) -> Result<Vec<u8>> {
        let bytes = self.take(self.left())?;
        let mut beyond = [0];
        match self.reader.read(&mut beyond) {
            Ok(0) => {}
            Ok(_) => return Err(self.damaged(&format!("expected its {} bytes, found more", self.size))),
            Err(error) => return Err(self.damaged(&error.to_string())),
        }
        if self.found.sum() != self.checksum {
            return Err(self.damaged("its bytes are not those of its checksum"));
        }
        Ok(bytes)
    }

    fn damaged(&self, what: &str) -> Error {
        Error::work(format!("member `{}`: {what}", self.name))
    }
}
