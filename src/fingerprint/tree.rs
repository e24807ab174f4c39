//! The crate's sources as parts, what each part uses, and the hash of a part with all that it uses.
//!
//! A part is a folder right below `src/`, with everything in it; of `study/` every file is one, so that stages are told
//! apart. What a part uses is read from its paths (`crate::…`, `super::…`), tests left out. A part that gives a type of
//! another part methods counts with that other part, too.

use super::tokens;
use super::uses::{Module, Uses};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Modules that are no part as a whole: each of their children is one.
const OPENED: [&str; 3] = ["", "study", "study::stages"];

/// A part whose own text counts and what it uses does not: settings. All that they become stands in the recipe.
const SETTINGS: &str = "study::config";

/// The parts of a crate.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    parts: BTreeMap<String, Part>,
}

#[derive(Debug, Default)]
struct Part {
    /// The tokens of its files, and the bytes of what they include.
    text: blake3::Hasher,
    paths: BTreeSet<Module>,
    extended: BTreeSet<String>,
    defined: BTreeSet<String>,
    uses: BTreeSet<String>,
}

impl Tree {
    /// Reads the crate in the folder `root`: `src/lib.rs` and every module that is no test.
    ///
    /// # Errors
    /// In words, if a file cannot be read or a module has none.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let mut tree = Self::default();
        tree.add(root, &root.join("src/lib.rs"), &Module::new())?;
        tree.connect();
        Ok(tree)
    }

    fn add(&mut self, root: &Path, file: &Path, module: &Module) -> Result<(), String> {
        let source = String::from_utf8_lossy(&bytes(file)?).into_owned();
        let tokens = tokens::compiled(&source);
        let uses = Uses::of(&tokens, module);
        let part = self.parts.entry(part_of(module)).or_default();
        part.text.update(module.join("::").as_bytes());
        for token in &tokens {
            part.text.update(&[0]).update(token.as_bytes());
        }
        let beside = file.parent().unwrap_or(root);
        for included in &uses.included {
            part.text.update(&[0]).update(&bytes(&beside.join(included))?);
        }
        if !uses.templates.is_empty() {
            // Templates may include one another.
            for template in listed(&root.join("templates"))? {
                part.text.update(&[0]).update(&bytes(&template)?);
            }
        }
        part.paths.extend(uses.paths);
        part.extended.extend(uses.extended);
        part.defined.extend(uses.defined);
        let is_folder = module.is_empty() || file.file_name().is_some_and(|name| name == "mod.rs");
        let below = if is_folder { beside.to_owned() } else { file.with_extension("") };
        for name in &uses.declared {
            let places = [below.join(format!("{name}.rs")), below.join(name).join("mod.rs")];
            let Some(place) = places.iter().find(|place| place.is_file()) else {
                return Err(format!("{}: the module `{name}` has no file", file.display()));
            };
            let child: Module = module.iter().chain([name]).cloned().collect();
            self.add(root, place, &child)?;
        }
        Ok(())
    }

    /// Turns paths into parts.
    fn connect(&mut self) {
        let names: BTreeSet<String> = self.parts.keys().cloned().collect();
        let mut extensions: Vec<(String, String)> = Vec::new();
        for (name, part) in &mut self.parts {
            let found = part.paths.iter().map(|path| named(path, &names));
            part.uses = found.filter(|used| used != name).collect();
            for foreign in part.extended.difference(&part.defined) {
                let paths = part.paths.iter().filter(|path| path.last() == Some(foreign));
                let owners = paths.map(|path| named(path, &names)).filter(|owner| owner != name);
                extensions.extend(owners.map(|owner| (owner, name.clone())));
            }
        }
        for (owner, by) in extensions {
            self.parts.entry(owner).or_default().uses.insert(by);
        }
    }

    /// The parts that `part` is made of: itself, and what it uses however indirectly.
    pub(crate) fn below(&self, part: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut pending = vec![part];
        while let Some(name) = pending.pop() {
            let Some((name, part)) = self.parts.get_key_value(name) else { continue };
            if found.insert(name.as_str()) && name != SETTINGS {
                pending.extend(part.uses.iter().map(String::as_str));
            }
        }
        found
    }

    /// The hash of `part` with all that it uses; nothing if there is no such part.
    pub(crate) fn hash(&self, part: &str) -> Option<String> {
        self.parts.get(part)?;
        let mut hash = blake3::Hasher::new();
        for name in self.below(part) {
            let text = self.parts.get(name)?.text.finalize();
            hash.update(name.as_bytes()).update(&[0]).update(text.as_bytes());
        }
        Some(hash.finalize().to_hex().to_string())
    }

    /// The hash of every part, by name.
    pub(crate) fn hashes(&self) -> BTreeMap<String, String> {
        self.parts.keys().filter_map(|name| Some((name.clone(), self.hash(name)?))).collect()
    }
}

/// The part that a module is in.
fn part_of(module: &[String]) -> String {
    let inner = (0..module.len()).find(|length| !OPENED.contains(&module[..*length].join("::").as_str()));
    module[..inner.unwrap_or(module.len())].join("::")
}

/// The part that a path leads to: the longest of its beginnings that is one.
fn named(path: &[String], parts: &BTreeSet<String>) -> String {
    let beginnings = (0..=path.len()).rev().map(|length| path[..length].join("::"));
    beginnings.into_iter().find(|name| parts.contains(name)).unwrap_or_default()
}

fn bytes(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("cannot list {}: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}
