//! Answers of a judge on disk, one file each, named by what was asked.
//!
//! A file is written beside and renamed into place, so that several processes and a kill at any moment leave whole files
//! or none. A file that is not whole, or another question's, is asked for again.

use crate::error::{Result, io};
use crate::foreign;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder of answers.
#[derive(Debug)]
pub(super) struct Cache(PathBuf);

/// One answer, with what was asked.
#[derive(Serialize, Deserialize)]
struct Kept {
    address: String,
    request: Value,
    answer: String,
}

/// One question: where it goes and what it says. The key is no part of it.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) address: String,
    pub(super) request: Value,
}

impl Question {
    /// A name by content.
    pub(super) fn name(&self) -> String {
        blake3::hash(format!("{}\n{}", self.address, self.request).as_bytes()).to_string()
    }
}

impl Cache {
    pub(super) fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    fn path(&self, name: &str) -> PathBuf {
        let (shelf, rest) = name.split_at(name.len().min(2));
        self.0.join(shelf).join(format!("{rest}.json"))
    }

    pub(super) fn find(&self, question: &Question) -> Option<String> {
        let text = foreign::bytes(&self.path(&question.name()), foreign::DOCUMENT).ok()?;
        let kept: Kept = serde_json::from_slice(&text).ok()?;
        let is_same = kept.address == question.address && kept.request == question.request;
        is_same.then_some(kept.answer)
    }

    pub(super) fn keep(&self, question: &Question, answer: &str) -> Result<()> {
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        let path = self.path(&question.name());
        let Question { address, request } = question.clone();
        let kept = Kept { address, request, answer: answer.to_owned() };
        let text = serde_json::to_vec_pretty(&kept)
            .map_err(|error| crate::error::Error::work(format!("an answer cannot be kept: {error}")))?;
        let shelf = path.parent().unwrap_or(&self.0);
        std::fs::create_dir_all(shelf).map_err(|error| io("create", shelf, error))?;
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let partial = path.with_extension(format!("{}-{number}.partial", std::process::id()));
        std::fs::write(&partial, text).map_err(|error| io("write", &partial, error))?;
        std::fs::rename(&partial, &path).map_err(|error| io("rename", &partial, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_are_found_by_content_and_damaged_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(&folder.path().join("a"));
        let question = |text: &str| Question { address: "x".into(), request: json!({ "messages": text }) };
        assert_eq!(cache.find(&question("one")), None);
        cache.keep(&question("one"), "yes").unwrap();
        cache.keep(&question("one"), "no").unwrap();
        assert_eq!(cache.find(&question("one")).as_deref(), Some("no"));
        assert_eq!(cache.find(&question("two")), None);
        std::fs::write(cache.path(&question("one").name()), "{\"address\": \"x\", \"req").unwrap();
        assert_eq!(cache.find(&question("one")), None);
        std::fs::create_dir_all(cache.path(&question("two").name()).parent().unwrap()).unwrap();
        std::fs::copy(cache.path(&question("one").name()), cache.path(&question("two").name())).unwrap();
        assert_eq!(cache.find(&question("two")), None);
    }
}
