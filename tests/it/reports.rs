//! The committed reports: small enough to clone, and named where they are explained.

use std::fs;
use std::path::{Path, PathBuf};

/// What all of them may take together, and one page by itself.
const ALL: u64 = 10_000_000;
const PAGE: u64 = 1_100_000;

fn reports() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("reports")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn reports_are_light() {
    let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
    let all = files(&reports());
    let total: u64 = all.iter().map(size).sum();
    assert!(total < ALL, "reports/ holds {total} bytes, expected less than {ALL}: leave out more tables");
    for page in all.iter().filter(|path| path.extension().is_some_and(|extension| extension == "html")) {
        assert!(size(page) < PAGE, "{} has {} bytes, expected less than {PAGE}", page.display(), size(page));
    }
}

#[test]
fn the_readme_names_the_folders_that_are_there_and_the_tables_that_are_not() {
    let readme = fs::read_to_string(reports().join("README.md")).unwrap();
    for entry in fs::read_dir(reports()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            assert!(readme.contains(&format!("({name}/")), "reports/README.md does not name {name}");
        }
    }
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for link in links.filter(|link| !link.starts_with("http")) {
        assert!(reports().join(link).exists(), "reports/README.md links to {link}, which is not there");
    }
    let (_, left_out) = readme.split_once("left out:").unwrap();
    let (left_out, _) = left_out.split_once('.').unwrap();
    let kept = files(&reports());
    for name in left_out.split('`').skip(1).step_by(2) {
        let file = format!("{name}.parquet");
        let found = kept.iter().find(|path| path.ends_with(&file));
        assert!(found.is_none(), "{name} is said to be left out, and {found:?} is there");
    }
}
