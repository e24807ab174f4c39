//! Hashes of files and folders by content, and whether they are still what they were.

use super::stamp::Stamp;
use crate::error::{Error, Result, io};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What a stage reads from outside of the store, by the role it plays.
pub type Outside = BTreeMap<String, Content>;

/// What files held when they were looked at.
#[derive(Clone, Debug, Default)]
pub struct Content {
    hash: String,
    seen: Vec<Seen>,
}

#[derive(Clone, Debug)]
enum Seen {
    File {
        path: PathBuf,
        stamp: Stamp,
        hash: String,
    },
    /// All files below a folder.
    Listing {
        folder: PathBuf,
        files: Vec<String>,
    },
    Nothing {
        path: PathBuf,
    },
}

impl Content {
    /// That of one file.
    ///
    /// # Errors
    /// If it cannot be read, or is written to meanwhile.
    pub fn of_file(path: &Path) -> Result<Self> {
        let (stamp, hash) = look(path)?;
        Ok(Self { hash: hash.clone(), seen: vec![Seen::File { path: path.to_owned(), stamp, hash }] })
    }

    /// That of all files below a folder: of their relative paths and bytes, not of their dates.
    ///
    /// # Errors
    /// If a file cannot be read, or is written to meanwhile.
    pub fn of_folder(folder: &Path) -> Result<Self> {
        let files = files_below(folder)?;
        let mut content = Self::of_files(folder, &files)?;
        content.seen.push(Seen::Listing { folder: folder.to_owned(), files });
        Ok(content)
    }

    /// That of some files of a folder, given by their relative paths.
    ///
    /// # Errors
    /// If a file cannot be read, or is written to meanwhile.
    pub fn of_files(folder: &Path, files: &[String]) -> Result<Self> {
        let mut hasher = blake3::Hasher::new();
        let mut seen = Vec::new();
        for relative in files {
            let path = folder.join(relative);
            let (stamp, hash) = look(&path)?;
            hasher.update(relative.as_bytes()).update(&[0]).update(hash.as_bytes());
            seen.push(Seen::File { path, stamp, hash });
        }
        Ok(Self { hash: hasher.finalize().to_hex().to_string(), seen })
    }

    /// That none of `paths` is there.
    pub fn of_nothing(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let seen = paths.into_iter().map(|path| Seen::Nothing { path }).collect();
        Self { hash: "nothing is there".to_owned(), seen }
    }

    /// What is no file: it does not change.
    pub fn of_text(text: impl Into<String>) -> Self {
        Self { hash: text.into(), seen: Vec::new() }
    }

    /// The hash, or the text of what is no file.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Looks again. A file that was written to counts as changed even if its content is the same again: what was read
    /// of it in between is not known. That somebody changed its permissions or gave it another link does not matter.
    ///
    /// # Errors
    /// If something is not what it was; the error names it.
    pub fn check(&self) -> Result<()> {
        for seen in &self.seen {
            let (path, what) = match seen {
                Seen::File { path, stamp, hash } => match look(path) {
                    Ok((now, again)) if again == *hash && now.is_unwritten_since(stamp) => continue,
                    Ok((_, again)) if again == *hash => (path, "was written to and put back"),
                    Ok(_) => (path, "has changed"),
                    Err(_) => (path, "cannot be read any more, or is being written to"),
                },
                Seen::Listing { folder, files } => match files_below(folder) {
                    Ok(now) if now == *files => continue,
                    _ => (folder, "has lost or gained files"),
                },
                Seen::Nothing { path } => match path.exists() {
                    false => continue,
                    true => (path, "was not there, and is now"),
                },
            };
            return Err(Error::work(format!("{} {what} since it was looked at", path.display()))
                .hint("run again, and leave what a study reads as it is while it runs"));
        }
        Ok(())
    }
}

/// Equal hashes.
impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Content {}

/// The BLAKE3 hash of a file's bytes, in hexadecimal.
///
/// # Errors
/// If the file cannot be read.
pub fn hash_file(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(|error| io("open", path, error))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).map_err(|error| io("read", path, error))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// The stamp and the hash of a file. Within one process a file is read again only if its stamp has changed, or is so
/// young that a change might not show.
fn look(path: &Path) -> Result<(Stamp, String)> {
    static KNOWN: Mutex<BTreeMap<PathBuf, (Stamp, String)>> = Mutex::new(BTreeMap::new());
    let before = Stamp::of(path)?;
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
    if let Some((stamp, hash)) = known.filter(|(stamp, _)| *stamp == before && stamp.is_settled()) {
        return Ok((stamp, hash));
    }
    let hash = hash_file(path)?;
    let stamp = Stamp::of(path)?;
    if !stamp.is_unwritten_since(&before) {
        return Err(
            Error::work(format!("{} is being written to", path.display())).hint("wait until it is done")
        );
    }
    let found = (stamp, hash);
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), found.clone());
    Ok(found)
}

/// The relative paths of all files below `folder`, sorted, with `/` between their parts.
pub(super) fn files_below(folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(relative) = pending.pop() {
        let current = folder.join(&relative);
        let entries = std::fs::read_dir(&current).map_err(|error| io("list", &current, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| io("list", &current, error))?;
            let relative = relative.join(entry.file_name());
            // Follows links: a hub snapshot is a folder of links into a cache.
            let path = folder.join(&relative);
            let metadata = std::fs::metadata(&path).map_err(|error| io("read", &path, error))?;
            if metadata.is_dir() {
                pending.push(relative);
            } else {
                let text = relative.to_str().ok_or_else(|| {
                    Error::request(format!("the file name {} is not valid UTF-8", path.display()))
                        .hint("rename the file")
                })?;
                files.push(text.replace('\\', "/"));
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn complaint(content: &Content) -> String {
        content.check().err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_was_written_to_is_noticed_even_if_it_was_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.jsonl");
        fs::write(&path, "one").unwrap();
        let content = Content::of_file(&path).unwrap();
        assert_eq!(complaint(&content), "");
        fs::write(&path, "two").unwrap();
        assert!(complaint(&content).contains("data.jsonl has changed"), "{}", complaint(&content));
        fs::write(&path, "one").unwrap();
        assert!(complaint(&content).contains("was written to and put back"), "{}", complaint(&content));
        fs::remove_file(&path).unwrap();
        assert!(complaint(&content).contains("cannot be read any more"), "{}", complaint(&content));
        let other = folder.path().join("other");
        fs::write(&other, "one").unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(!complaint(&content).is_empty(), "another file of the same bytes");
    }

    #[cfg(unix)]
    #[test]
    fn permissions_and_links_are_no_content() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.jsonl");
        fs::write(&path, "one").unwrap();
        let content = Content::of_file(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::hard_link(&path, folder.path().join("link")).unwrap();
        assert_eq!(complaint(&content), "");
    }

    #[test]
    fn a_folder_is_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("model");
        fs::create_dir_all(place.join("deep")).unwrap();
        fs::write(place.join("a"), "one").unwrap();
        fs::write(place.join("deep/b"), "two").unwrap();
        let content = Content::of_folder(&place).unwrap();
        let some = Content::of_files(&place, &["a".to_owned()]).unwrap();
        fs::write(place.join("c"), "three").unwrap();
        assert!(complaint(&content).contains("has lost or gained files"), "{}", complaint(&content));
        assert_eq!(complaint(&some), "");
        assert_ne!(Content::of_folder(&place).unwrap(), content);
    }

    #[test]
    fn what_was_not_there_may_come() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("claims.parquet");
        let content = Content::of_nothing([path.clone()]);
        assert_eq!(complaint(&content), "");
        fs::write(path, "one").unwrap();
        assert!(complaint(&content).contains("is now"), "{}", complaint(&content));
    }
}
