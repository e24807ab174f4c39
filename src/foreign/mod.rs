//! The one door for files that somebody else made.
//!
//! Whatever comes from outside (a model repository, an adapter, a dictionary, a data set) is opened, guarded and
//! accounted for here, in the same way whoever reads it:
//!
//! 1. [`bytes`] and [`text`] open regular files only, and look at the size before the content.
//! 2. [`guarded`] turns a panic of a library that met a damaged file into an error with the file's name.
//! 3. [`parquet`] holds what a Parquet file declares against its length before a library allocates any of it.
//! 4. [`Object`] is a JSON object that knows which of its keys were read. [`Object::finish`] refuses the first key that
//!    nobody asked for; [`Object::left_out`] names them all, for an answer that says so.
//! 5. [`visible`] shows what a text of somebody else's would do to a terminal instead of doing it.
//!
//! Whatever a file says is used, refused by name, or named in a note that reaches the user's answer.

mod archive;
mod door;
mod numbers;
pub(crate) mod numpy;
mod object;
pub(crate) mod parquet;
pub(crate) mod pickle;
mod visible;

pub(crate) use door::{DATA, DOCUMENT, bytes, bytes_if_any, guarded, regular, text};
pub(crate) use numbers::decode;
pub(crate) use object::Object;
pub(crate) use visible::visible;

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    /// Who opens files without the door, and why.
    const OTHERS: [(&str, &str); 5] = [
        ("foreign/door.rs", "it is the door"),
        ("fingerprint/", "it reads the sources of this crate as it is built"),
        ("store/", "artifacts are hashed as they lie there"),
        ("tasks/external/judge/client.rs", "it reads the bodies of answers, up to a limit"),
        ("model/hub/", "what is downloaded is checked by its hash"),
    ];
    /// What opens a file or maps it.
    const WAYS: [&str; 8] = [
        "fs::read(",
        "read_to_string(",
        "File::open(",
        "OpenOptions::new",
        "MmapedSafetensors",
        "VarBuilder::from_mmaped",
        "NpzTensors::new",
        "Tokenizer::from_file",
    ];

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => sources(&path, found),
                false => found.push(path),
            }
        }
    }

    #[test]
    fn files_are_opened_by_the_door_alone() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        sources(&root, &mut files);
        assert!(files.len() > 200);
        let mut wrong = Vec::new();
        for path in files {
            let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
            let is_test = name.contains("tests") || name.ends_with("golden.rs");
            if is_test || OTHERS.iter().any(|(other, _)| name.starts_with(other)) {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            // What the kernel says of this process is no file of others.
            let code: String = code.lines().filter(|line| !line.contains("\"/proc/")).collect();
            for way in WAYS.iter().filter(|way| code.contains(**way)) {
                wrong.push(format!("{name}: {way}"));
            }
        }
        assert!(wrong.is_empty(), "opened past `foreign`:\n{}", wrong.join("\n"));
    }
}
