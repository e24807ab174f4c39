//! A file on the stage: the part of it that is there, and whether the whole is what the hub stated.

use super::cache::remove;
use super::client::Remote;
use crate::error::{Error, Result, io};
use ring::digest::{Context, SHA256};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

impl Remote {
    /// The hash of a large file, which is its etag.
    fn sha256(&self) -> Option<&str> {
        let etag = self.etag.as_str();
        (etag.len() == 64 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(etag)
    }
}

/// Puts in order what an attempt left, and says how many bytes the next can build on. A file whose hash nobody states
/// is never built on: its end could not be told from another's.
pub(super) fn settle(part: &Path, remote: &Remote) -> Result<u64> {
    let held = match part.metadata() {
        Ok(found) => found.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(io("read", part, error)),
    };
    if held > remote.size || (held < remote.size && remote.sha256().is_none()) {
        remove(part)?;
        return Ok(0);
    }
    Ok(held)
}

/// Throws a file away that does not have the stated hash.
pub(super) fn check(part: &Path, remote: &Remote) -> Result<()> {
    let Some(stated) = remote.sha256() else { return Ok(()) };
    let found = digest(part).map_err(|error| io("read", part, error))?;
    if found.eq_ignore_ascii_case(stated) {
        return Ok(());
    }
    remove(part)?;
    Err(Error::work("what was downloaded does not have the hash that the hub states")
        .hint("run the same command again: it was thrown away"))
}

/// The SHA-256 of a file, in hexadecimal.
fn digest(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    Ok(hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}
