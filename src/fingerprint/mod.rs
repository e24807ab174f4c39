//! What the program is made of, for the keys of artifacts: an artifact of other code is another artifact.
//!
//! When the crate is built, `build.rs` reads its sources as tokens (`tokens`: comments, layout and tests do not count),
//! finds what each part uses of the others (`uses`), and writes a table from every part to the hash of itself and all
//! that it uses (`tree`). [`source`] looks a stage up in it. Beside it stand the versions of all dependencies and the
//! compiler.

#[cfg(test)]
mod house;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod tree;
#[cfg(test)]
mod uses;

include!(concat!(env!("OUT_DIR"), "/fingerprint.rs"));

/// The hash of the code of `module` (as `module_path!()` names it) and of all that it uses.
pub(crate) fn source(module: &str) -> Option<&'static str> {
    let part = module.strip_prefix(concat!(env!("CARGO_CRATE_NAME"), "::"))?;
    SOURCES.iter().find(|(name, _)| *name == part).map(|(_, hash)| *hash)
}

/// The hash of the versions and features of all dependencies.
pub(crate) fn dependencies() -> &'static str {
    DEPENDENCIES
}

/// The compiler, its target, and what it was allowed to use.
pub(crate) fn compiler() -> &'static str {
    COMPILER
}

#[cfg(test)]
mod tests;
