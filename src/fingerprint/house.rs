//! The order of the house, read from the sources: folders use only folders below them, no two files of a folder use each
//! other in a circle, and every path that the documents name is there.

use super::tokens::compiled;
use super::uses::{Module, Uses};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What every floor stands on; it may only use its like.
const GROUND: [&str; 6] = ["compute", "error", "fingerprint", "foreign", "progress", "rng"];

/// Circles that are there. This list may only get shorter.
const CIRCLES: [&str; 16] = [
    "claims::calibration::judge, claims::calibration::setting",
    "claims::calibration::model::closed_form, claims::calibration::model::world",
    "dictionaries::fit, dictionaries::kinds",
    "dictionaries::fit::away, dictionaries::fit::on_device, dictionaries::fit::trainer, dictionaries::fit::twins",
    "dictionaries::fit::on_device::kernels, dictionaries::fit::on_device::sparse",
    "evaluation::instantiations, evaluation::pass_at_k, evaluation::rows, evaluation::summarise",
    "experiments::declared, experiments::explore, experiments::greedy, experiments::outcomes, experiments::run",
    "experiments::directions, experiments::heads, experiments::hypothesis, experiments::inputs, experiments::measure, experiments::prepared, experiments::published, experiments::say, experiments::set_rule, experiments::settings, experiments::single, experiments::texts",
    "model::chat::filters, model::chat::justified, model::chat::markup, model::chat::meter, model::chat::metered, model::chat::methods, model::chat::operators, model::chat::printf, model::chat::sequences, model::chat::slices, model::chat::text",
    "model::config, model::config_json",
    "model::hub::blob, model::hub::cache, model::hub::client, model::hub::part",
    "report::beside, report::facts",
    "report::sections::finding::claim, report::sections::finding::other_axis",
    "study::stages::evaluation, study::stages::models, study::stages::select, study::stages::variant",
    "tasks::conversation, tasks::external, tasks::plain, tasks::problem",
    "training::lora, training::optimiser, training::settings",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every module with what it uses, tests left out.
fn modules() -> BTreeMap<Module, Uses> {
    fn add(file: &Path, module: &Module, all: &mut BTreeMap<Module, Uses>) {
        let uses = Uses::of(&compiled(&fs::read_to_string(file).unwrap()), module);
        let is_folder = module.is_empty() || file.ends_with("mod.rs");
        let below = if is_folder { file.parent().unwrap().to_owned() } else { file.with_extension("") };
        for name in &uses.declared {
            let places = [below.join(format!("{name}.rs")), below.join(name).join("mod.rs")];
            let place = places.iter().find(|place| place.is_file()).unwrap();
            add(place, &module.iter().chain([name]).cloned().collect(), all);
        }
        all.insert(module.clone(), uses);
    }
    let mut all = BTreeMap::new();
    add(&root().join("src/lib.rs"), &Module::new(), &mut all);
    all
}

/// The module that a path leads to.
fn target<'a>(path: &[String], modules: &'a BTreeMap<Module, Uses>) -> &'a Module {
    let beginnings = (0..=path.len()).rev().map(|length| &path[..length]);
    beginnings.filter_map(|module| modules.get_key_value(module)).map(|(module, _)| module).next().unwrap()
}

/// The floors of CONTRIBUTING's table, from the top down.
fn floors() -> Vec<BTreeSet<String>> {
    let text = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with("| folder |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let names = |row: &str| {
        row.split('|')
            .nth(1)
            .unwrap()
            .split('`')
            .skip(1)
            .step_by(2)
            .map(|name| name.trim_end_matches('/').to_owned())
            .collect()
    };
    rows.map(names).collect()
}

#[test]
fn folders_use_only_folders_below_them() {
    let (modules, floors) = (modules(), floors());
    assert!(floors.len() >= 14, "{floors:?}");
    // The documents may list the ground, too.
    let floor = |name: &String| match GROUND.contains(&name.as_str()) {
        true => Some(usize::MAX),
        false => floors.iter().position(|floor| floor.contains(name)),
    };
    let mut wrong = BTreeSet::new();
    for (module, uses) in &modules {
        let Some(own) = module.first() else { continue };
        let place = floor(own).unwrap_or_else(|| panic!("CONTRIBUTING's table has no row for `{own}/`"));
        for used in uses.paths.iter().filter_map(|path| target(path, &modules).first()) {
            if floor(used).is_some_and(|used| used < place) {
                wrong.insert(format!("{} uses {used}", module.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_files_of_a_folder_use_each_other_in_a_circle() {
    let modules = modules();
    let is_within = |one: &Module, other: &Module| one.starts_with(other) || other.starts_with(one);
    let uses: BTreeMap<&Module, BTreeSet<&Module>> = modules
        .iter()
        .map(|(module, uses)| {
            let used = uses.paths.iter().map(|path| target(path, &modules));
            // A folder's `mod.rs` and its children may know each other.
            (module, used.filter(|used| !is_within(used, module)).collect())
        })
        .collect();
    let reached: BTreeMap<&Module, BTreeSet<&Module>> = uses
        .keys()
        .map(|from| {
            let (mut found, mut pending) = (BTreeSet::new(), vec![*from]);
            while let Some(module) = pending.pop() {
                pending.extend(uses[module].iter().filter(|used| found.insert(**used)));
            }
            (*from, found)
        })
        .collect();
    let in_circle =
        |one: &Module, other: &Module| reached[one].contains(other) && reached[other].contains(one);
    let mut circles: BTreeSet<BTreeSet<String>> = BTreeSet::new();
    for module in uses.keys() {
        circles.insert(
            uses.keys().filter(|other| in_circle(module, other)).map(|other| other.join("::")).collect(),
        );
    }
    let known: Vec<BTreeSet<String>> =
        CIRCLES.iter().map(|circle| circle.split(", ").map(str::to_owned).collect()).collect();
    let new: Vec<_> =
        circles.iter().filter(|circle| !known.iter().any(|known| circle.is_subset(known))).collect();
    assert!(new.is_empty(), "new circles: {new:#?}");
    let is_gone = |known: &&BTreeSet<String>| circles.iter().all(|circle| circle.is_disjoint(known));
    let gone: Vec<_> = known.iter().filter(is_gone).collect();
    assert!(gone.is_empty(), "these are no circles any more, so take them off the list: {gone:#?}");
}

#[test]
fn every_path_that_the_documents_name_is_there() {
    let mut missing = Vec::new();
    for document in ["CONTRIBUTING.md", "README.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let linked = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let quoted = text.split('`').skip(1).step_by(2);
        for path in linked.chain(quoted) {
            let path = path.split(['#', ' ']).next().unwrap_or_default();
            if is_of_the_repository(path)
                && ![root().join(path), root().join("src").join(path)].iter().any(|place| place.exists())
            {
                missing.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Whether a word is the path of a file or folder in the repository, and not an example of one.
fn is_of_the_repository(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    let is_plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte));
    let is_ours = root().join(first).is_dir() || root().join("src").join(first).is_dir();
    is_plain && path.contains('/') && is_ours && first != "runs" && first != "target" && !first.is_empty()
}
