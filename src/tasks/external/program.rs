//! The files that a program which judges is made of, as far as its command line and its author tell.

use crate::error::{Error, Result};
use crate::foreign;
use crate::store::Content;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The files of the program of a command line, by their names: the program as `PATH` finds it, what its `#!` line names,
/// every word that names a file (as `--rules=FILE`, too), and what is declared.
///
/// # Errors
/// If there is no such program, or a declared file cannot be read.
pub(super) fn files(words: &[String], declared: &[&str]) -> Result<Vec<(String, Content)>> {
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| Error::request("reward=command: expected a program, found none"))?;
    let program = found(program)?;
    let mut paths = vec![program.clone()];
    paths.extend(interpreter(&program)?);
    for argument in arguments {
        let value = argument.split_once('=').map(|(_, value)| value);
        let named = [Some(argument.as_str()), value].into_iter().flatten().map(Path::new);
        paths.extend(named.filter(|path| path.is_file()).map(Path::to_owned));
    }
    paths.extend(declared.iter().map(PathBuf::from));
    paths
        .iter()
        .map(|path| {
            let content = if path.is_dir() { Content::of_folder(path) } else { Content::of_file(path) };
            Ok((path.display().to_string(), content?))
        })
        .collect()
}

/// Where a program is.
fn found(name: &str) -> Result<PathBuf> {
    let cannot = |why: &str| Error::request(format!("cannot start `{name}`: {why}"));
    if name.contains(std::path::is_separator) {
        let path = PathBuf::from(name);
        return if is_program(&path) { Ok(path) } else { Err(cannot("there is no such program")) };
    }
    let places = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::split_paths(&places).map(|folder| folder.join(name));
    all.into_iter().find(|path| is_program(path)).ok_or_else(|| cannot("it is not in PATH"))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file() || path.with_extension("exe").is_file()
}

/// The programs of a script's first line, as in `#!/usr/bin/env python3`.
fn interpreter(program: &Path) -> Result<Vec<PathBuf>> {
    let mut start = [0; 256];
    // A program that may be run and not read says nothing; hashing it says why.
    let length =
        foreign::regular(program, u64::MAX).map_or(0, |(mut file, _)| file.read(&mut start).unwrap_or(0));
    let start = String::from_utf8_lossy(&start[..length]).into_owned();
    let Some(line) = start.strip_prefix("#!").and_then(|text| text.lines().next()) else {
        return Ok(Vec::new());
    };
    let mut words = line.split_whitespace();
    let Some(first) = words.next() else { return Ok(Vec::new()) };
    let mut programs = vec![found(first)?];
    if first.ends_with("/env")
        && let Some(second) = words.find(|word| !word.starts_with('-') && !word.contains('='))
    {
        programs.push(found(second)?);
    }
    Ok(programs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_script_brings_its_interpreter() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("judge");
        std::fs::write(&script, "#!/usr/bin/env -S sh -e\necho 1\n").unwrap();
        let words = [script.display().to_string()];
        assert!(files(&words, &[]).unwrap_err().to_string().contains("no such program"), "it may not be run");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let names: Vec<String> = files(&words, &[]).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(names[1].ends_with("/env") && names[2].ends_with("/sh"), "{names:?}");
        assert!(files(&["no-such-program".to_owned()], &[]).unwrap_err().to_string().contains("not in PATH"));
    }
}
