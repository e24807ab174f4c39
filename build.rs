//! Compiles in what the program is made of, for the keys of artifacts: see `src/fingerprint/mod.rs`.

#[path = "src/fingerprint/tokens.rs"]
mod tokens;
#[path = "src/fingerprint/tree.rs"]
mod tree;
#[path = "src/fingerprint/uses.rs"]
mod uses;

use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let root = Path::new(&root);
    for watched in ["build.rs", "src", "templates", "Cargo.toml", "Cargo.lock"] {
        if root.join(watched).exists() {
            println!("cargo::rerun-if-changed={watched}");
        }
    }
    let sources = match tree::Tree::read(root) {
        Ok(tree) => tree.hashes(),
        Err(error) => {
            println!("cargo::error=the fingerprint of the sources: {error}");
            return;
        }
    };
    let sources: Vec<_> = sources.iter().map(|(part, hash)| format!("    ({part:?}, {hash:?}),\n")).collect();
    let text = format!(
        "const SOURCES: &[(&str, &str)] = &[\n{}];\nconst DEPENDENCIES: &str = {:?};\nconst COMPILER: &str = {:?};\n",
        sources.concat(),
        dependencies(root),
        compiler()
    );
    let place = Path::new(&env::var("OUT_DIR").unwrap_or_default()).join("fingerprint.rs");
    if let Err(error) = fs::write(&place, text) {
        println!("cargo::error=cannot write {}: {error}", place.display());
    }
}

/// The versions of all dependencies, and which of their features are switched on. A package may come without its lock
/// file; then the key says no more than that.
fn dependencies(root: &Path) -> String {
    let mut hash = blake3::Hasher::new();
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_else(|_| "no lock file".to_owned());
    lock.lines().filter(|line| !line.starts_with('#')).for_each(|line| {
        hash.update(line.as_bytes());
    });
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap_or_default();
    let mut counts = false;
    for line in manifest.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('[') {
            let is_of_others = line.contains("dev-") || line.contains("build-");
            counts = (line.contains("dependencies") && !is_of_others) || line.contains("patch");
        }
        if counts {
            hash.update(line.as_bytes());
        }
    }
    hash.finalize().to_hex().chars().take(32).collect()
}

/// What may change numbers: the compiler, the instructions that it may use everywhere, and the crate's own features. Not
/// the level of optimisation: it changes the order of no operation.
fn compiler() -> String {
    let said = |name: &str| env::var(name).unwrap_or_default();
    let version =
        Command::new(said("RUSTC")).arg("-vV").output().map(|output| output.stdout).unwrap_or_default();
    let version = String::from_utf8_lossy(&version).lines().next().unwrap_or_default().to_owned();
    let mut features: Vec<String> = env::vars()
        .filter_map(|(name, _)| name.strip_prefix("CARGO_FEATURE_").map(str::to_lowercase))
        .filter(|name| name != "default")
        .collect();
    features.sort();
    let all = [version, said("TARGET"), said("CARGO_CFG_TARGET_FEATURE"), features.join(",")];
    all.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}
