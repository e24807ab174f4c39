//! Changed files for every reader of files that others made: each is read or refused in words, in time and in memory.
//!
//! `cargo test --release --test fuzz` tries some of each reader. For longer, with another seed:
//!
//!     FUZZ_SECONDS=3600 FUZZ_SEED=7 cargo test --release --test fuzz -- --ignored --nocapture
//!
//! `FUZZ_READER=name` tries one reader alone, and `FUZZ_CASE=number` one case, which stays in `target/tmp/fuzz`.

mod guard;
mod mutate;
mod readers;
mod templates;

use deltascope::rng::Stream;
use readers::{READERS, Seed};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

#[global_allocator]
static COUNTING: guard::Counting = guard::Counting;

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How long to try each reader, and how many cases at most.
struct Effort {
    seed: u64,
    each: Duration,
    cases: u64,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn write(folder: &Path, name: &str, content: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn prepared(root: &Path, seeds: &[Seed]) -> Vec<PathBuf> {
    let place = |(index, seed): (usize, &Seed)| {
        let folder = root.join(index.to_string());
        seed.files.iter().for_each(|(name, content)| write(&folder, name, content));
        folder
    };
    seeds.iter().enumerate().map(place).collect()
}

fn run(effort: &Effort) {
    let start = Instant::now();
    guard::watch(start);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        PANICS.lock().unwrap().push(place);
    }));
    let only = (std::env::var("FUZZ_READER").ok(), number("FUZZ_CASE"));
    let mut failures: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut all = 0;
    for (index, reader) in READERS.iter().enumerate() {
        if only.0.as_ref().is_some_and(|name| name != reader.name) {
            continue;
        }
        let seeds = (reader.seeds)();
        assert!(!seeds.is_empty(), "{}", reader.name);
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(reader.name);
        let _ = std::fs::remove_dir_all(&root);
        let folders = prepared(&root, &seeds);
        let others: Vec<u8> = seeds.iter().flat_map(|seed| seed.changed().to_vec()).take(1 << 20).collect();
        let began = Instant::now();
        let (mut case, mut read) = (only.1.unwrap_or(0), 0_u64);
        let first = case;
        while case - first < effort.cases && began.elapsed() < effort.each {
            let mut stream = Stream::new(effort.seed, reader.name, &[case]);
            let place = (case as usize) % seeds.len();
            let seed = &seeds[place];
            // The first of each are the files as they are.
            let content = match case < seeds.len() as u64 {
                true => seed.changed().to_vec(),
                false => mutate::mutated(seed.changed(), &others, seed.is_text(), &mut stream),
            };
            write(&folders[place], &seed.files[0].0, &content);
            let outcome = guard::case(start, index, effort.seed, case, || {
                catch_unwind(AssertUnwindSafe(|| (reader.read)(&folders[place])))
            });
            match outcome {
                Ok(is_read) => read += u64::from(is_read),
                Err(_) => {
                    let place = PANICS.lock().unwrap().pop().unwrap_or_default();
                    let found =
                        failures.entry(format!("{}: panic at {place}", reader.name)).or_insert((0, case));
                    found.0 += 1;
                }
            }
            case += 1;
            if only.1.is_some() {
                break;
            }
        }
        all += case - first;
        assert!(read > 0 || only.1.is_some(), "{}: not even the sound files are read", reader.name);
        eprintln!(
            "{}: {} cases, {read} read, {:.0} s",
            reader.name,
            case - first,
            began.elapsed().as_secs_f64()
        );
        if only.1.is_none() {
            let _ = std::fs::remove_dir_all(&root);
        }
    }
    let _ = std::panic::take_hook();
    let lines =
        failures.iter().map(|(what, (count, case))| format!("{what}: {count} times, first in case {case}\n"));
    let lines: String = lines.collect();
    assert!(failures.is_empty(), "seed {}, {all} cases:\n{lines}", effort.seed);
    eprintln!("seed {}: {all} cases", effort.seed);
}

#[test]
fn changed_files_are_read_or_refused() {
    run(&Effort { seed: 1, each: Duration::from_secs(2), cases: 300 });
}

#[test]
#[ignore = "takes as long as FUZZ_SECONDS says"]
fn changed_files_are_read_or_refused_for_long() {
    let seconds = number("FUZZ_SECONDS").unwrap_or(600);
    let each = Duration::from_secs_f64(seconds as f64 / READERS.len() as f64);
    run(&Effort { seed: number("FUZZ_SEED").unwrap_or(1), each, cases: u64::MAX });
}
