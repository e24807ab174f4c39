//! Names of models on the hub.

use crate::error::{Error, Result};

/// Bytes that a part of a name may have.
const LONGEST: usize = 96;

/// `owner/name@revision`, of parts that cannot leave the cache.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) repository: String,
    /// A branch, a tag, or the hash of a commit.
    pub(super) revision: String,
}

impl Name {
    /// `name` or `owner/name`, of letters, digits, `-`, `_` and `.`; a revision after `@`, else `main`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (repository, revision) = text.split_once('@').unwrap_or((text, "main"));
        let hint = "pass a folder, or a hub name such as `Qwen/Qwen2.5-0.5B`";
        if repository.split('/').count() > 2 || !repository.split('/').all(is_plain) {
            let message = format!("expected a folder or a model name of the hub, found `{repository}`");
            return Err(Error::request(message).hint(hint));
        }
        if !revision.split('/').all(is_plain) {
            let message = format!("expected a revision of `{repository}`, found `{revision}`");
            return Err(Error::request(message).hint(hint));
        }
        Ok(Self { repository: repository.to_owned(), revision: revision.to_owned() })
    }
}

/// Whether what a server sends for a hash is safe as the name of a file.
pub(super) fn is_hash(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_digit)
}

/// Whether a part of a name is safe as the name of a file.
pub(super) fn is_plain(part: &str) -> bool {
    (1..=LONGEST).contains(&part.len())
        && !part.starts_with(['.', '-'])
        && !part.contains("..")
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_cache_are_refused() {
        for name in
            ["../x", "a/b/c", "a/..", "a b/c", "a/b@../main", "a/b@", "", "/etc/passwd", "a\\b", "~/x"]
        {
            assert!(Name::parse(name).is_err(), "{name}");
        }
        let name = Name::parse("Qwen/Qwen2.5-0.5B@refs/pr/1").unwrap();
        assert_eq!((name.repository.as_str(), name.revision.as_str()), ("Qwen/Qwen2.5-0.5B", "refs/pr/1"));
        assert_eq!(Name::parse("gpt2").unwrap().revision, "main");
        for text in ["", "..", "../x", "a/b", "a.lock", "a b"] {
            assert!(!is_hash(text), "{text}");
        }
        assert!(is_hash("0123456789abcdef0123456789abcdef01234567"));
    }
}
