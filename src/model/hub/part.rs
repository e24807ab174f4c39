//! A file on the stage: the part of it that is there, and whether the whole is what the hub stated.

use super::cache::remove;
use super::client::Remote;
use crate::error::{Error, Result, io};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

impl Remote {
    /// The hash of a large file, which is its etag.
    fn sha256(&self) -> Option<&str> {
        let etag = self.etag.as_str();
        (etag.len() == 64 && is_hexadecimal(etag)).then_some(etag)
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
    let wrong = mismatch(part, &remote.etag).map_err(|error| io("read", part, error))?;
    if !wrong {
        return Ok(());
    }
    remove(part)?;
    Err(Error::work("what was downloaded does not have the hash that the hub states")
        .hint("run the same command again: it was thrown away"))
}

/// Whether a file is not what `etag` names: the SHA-256 of a large file, git's hash of a small one. Other etags say
/// nothing about the content.
pub(super) fn mismatch(path: &Path, etag: &str) -> std::io::Result<bool> {
    let found = match etag.len() {
        _ if !is_hexadecimal(etag) => return Ok(false),
        64 => digest(path, Context::new(&SHA256))?,
        40 => {
            let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
            hash.update(format!("blob {}\0", path.metadata()?.len()).as_bytes());
            digest(path, hash)?
        }
        _ => return Ok(false),
    };
    Ok(!found.eq_ignore_ascii_case(etag))
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The hash of a file after what `hash` holds already, in hexadecimal.
fn digest(path: &Path, mut hash: Context) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    Ok(hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}
