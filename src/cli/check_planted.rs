//! `check planted`: how much of planted activations do `fit` and `diff` find?

use super::Context;
use super::flags::{SeedFlag, SetFlag};
use crate::dictionaries::{FitSettings, Kind};
use crate::diff::DiffSettings;
use crate::diff::planted::{KindRow, PlantedRow, PlantedStore, Pooled, Recipe, pool};
use crate::error::{Error, Result, io};
use crate::tables::{self, TableSpec, catalogue};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Gates on the easy set, pooled (PROTOCOL 9).
const RECALL: f64 = 0.9;
const PRECISION: f64 = 0.95;

/// The flags of `check planted`.
#[derive(clap::Args)]
pub(crate) struct CheckPlantedArguments {
    /// Planted worlds for each set.
    #[arg(long, default_value_t = 10, value_name = "N")]
    seeds: u64,
    /// Fits of each world, with different seeds.
    #[arg(long, default_value_t = 3, value_name = "N")]
    fits: u64,
    /// Leave the hard set out; it is reported, not gated.
    #[arg(long)]
    easy_only: bool,
    /// Active features a token, as in `--k 2,4,8`, in place of each set's own; the gates hold for those alone.
    #[arg(long, value_delimiter = ',', value_name = "N")]
    k: Vec<usize>,
    /// Kinds of dictionary, as in `--kinds gated,batch_topk`, or `all`: instead of classes, report how many planted
    /// features each one finds at its own settings. Transcoders are left out.
    #[arg(long, value_delimiter = ',', value_name = "KINDS")]
    kinds: Vec<String>,
    /// Receives the table, `planted.parquet` or `planted_kinds.parquet`, and a page.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    seed: SeedFlag,
    /// Overrides of the settings of `fit`.
    #[command(flatten)]
    set: SetFlag,
}

pub(crate) fn check_planted(arguments: CheckPlantedArguments, context: &Context) -> Result<()> {
    if arguments.seeds == 0 || arguments.fits == 0 {
        return Err(Error::request("`--seeds` and `--fits`: expected at least 1"));
    }
    if arguments.k.contains(&0) {
        return Err(Error::request("`--k`: expected at least 1, found 0"));
    }
    for set in &arguments.set.set {
        let key = set.split_once('=').map_or(set.as_str(), |(key, _)| key).trim();
        if ["k", "features", "variants"].contains(&key) {
            return Err(Error::request(format!(
                "`--set {set}`: expected a setting that the sets leave open"
            ))
            .hint("--k 2,4,8 tries several k; the size and what is read are the planted set's own"));
        }
    }
    let settings = arguments.set.apply(&FitSettings::default())?;
    let mut recipes = vec![Recipe::easy()];
    if !arguments.easy_only {
        recipes.push(Recipe::hard());
    }
    if !arguments.k.is_empty() {
        recipes.iter_mut().for_each(|recipe| recipe.k.clone_from(&arguments.k));
    }
    if !arguments.kinds.is_empty() {
        return check_kinds(&arguments, &recipes, context);
    }
    let rows = trials(&arguments, &recipes, &settings, context)?;
    let pooled = pool(&rows, arguments.seed.seed);
    let lines = || pooled.iter().map(text).collect::<Vec<_>>().join("\n");
    if let Some(out) = &arguments.out {
        write_page(&arguments, out, &catalogue::PLANTED, &rows, (ABOUT, &lines()))?;
    }
    context.printer.answer(&pooled, lines)?;
    gate(&pooled)
}

fn trials(
    arguments: &CheckPlantedArguments,
    recipes: &[Recipe],
    settings: &FitSettings,
    context: &Context,
) -> Result<Vec<PlantedRow>> {
    let silent = crate::progress::Observer::silent();
    let mut rows = Vec::new();
    each_fit(arguments, recipes, 1, context, |planted, k, fit_seed| {
        let score = planted.trial(settings, &DiffSettings::default(), k, fit_seed, &silent)?;
        rows.extend(planted.rows(&score, k, fit_seed));
        Ok(())
    })?;
    Ok(rows)
}

/// Plants every world and calls `work` for each k and seed of a fit, which is to make `fits` dictionaries.
fn each_fit(
    arguments: &CheckPlantedArguments,
    recipes: &[Recipe],
    fits: u64,
    context: &Context,
    mut work: impl FnMut(&PlantedStore, usize, u64) -> Result<()>,
) -> Result<()> {
    let scratch = std::env::temp_dir().join(format!("deltascope-planted-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).map_err(|error| io("create", &scratch, error))?;
    let sizes: u64 = recipes.iter().map(|recipe| recipe.k.len() as u64).sum();
    let all = fits * sizes * arguments.seeds * arguments.fits;
    let mut bar = context.observer.bar("check planted", all, "fits");
    let result = (|| {
        for recipe in recipes {
            for world in 0..arguments.seeds {
                let seed = arguments.seed.seed + world;
                let file = scratch.join("activations.safetensors");
                let planted = PlantedStore::new(recipe, seed, &file)?;
                for (k, fit_seed) in
                    recipe.k.iter().flat_map(|k| (0..arguments.fits).map(move |fit_seed| (*k, fit_seed)))
                {
                    context.observer.check()?;
                    work(&planted, k, fit_seed)?;
                    bar.advance(fits);
                }
            }
        }
        Ok(())
    })();
    // A leftover in the system's temporary folder is no reason to fail.
    let _ = std::fs::remove_dir_all(&scratch);
    result
}

/// How many planted features each of `--kinds` finds.
fn check_kinds(arguments: &CheckPlantedArguments, recipes: &[Recipe], context: &Context) -> Result<()> {
    let kinds = match &arguments.kinds[..] {
        [all] if all == "all" => Kind::ALL.into_iter().filter(|kind| !kind.is_transcoder()).collect(),
        names => names.iter().map(|name| name.parse()).collect::<Result<Vec<Kind>>>()?,
    };
    let of_kind = |kind| arguments.set.apply(&FitSettings { kind, ..FitSettings::default() });
    let settings = kinds.iter().map(|kind| of_kind(*kind)).collect::<Result<Vec<_>>>()?;
    if let Some(other) = settings.iter().zip(&kinds).find(|(settings, kind)| settings.kind != **kind) {
        return Err(Error::request(format!("`--set kind={}`: the kinds are those of --kinds", other.0.kind)));
    }
    let silent = crate::progress::Observer::silent();
    let mut rows = Vec::new();
    each_fit(arguments, recipes, kinds.len() as u64, context, |planted, k, fit_seed| {
        let first = planted.planted().recipe().k.first();
        // What has no k is fitted once.
        for settings in settings.iter().filter(|own| own.kind.keeps_the_largest() || first == Some(&k)) {
            context.observer.check()?;
            rows.push(planted.kind_trial(&FitSettings { k, ..settings.clone() }, fit_seed, &silent)?);
        }
        Ok(())
    })?;
    let lines = || kinds_text(&rows);
    if let Some(out) = &arguments.out {
        write_page(arguments, out, &catalogue::PLANTED_KINDS, &rows, (ABOUT_KINDS, &lines()))?;
    }
    context.printer.answer(&rows, lines)
}

/// One line a recipe, kind and k: means over worlds and fits, and the least and the most.
fn kinds_text(rows: &[KindRow]) -> String {
    let mut groups: BTreeMap<(&str, &str, Option<u64>), Vec<&KindRow>> = BTreeMap::new();
    for row in rows {
        groups.entry((row.recipe.as_str(), row.kind.as_str(), row.k)).or_default().push(row);
    }
    let mut text = String::new();
    for ((recipe, kind, k), rows) in groups {
        let spread = |of: &dyn Fn(&KindRow) -> f64| {
            let values = || rows.iter().map(|row| of(row));
            let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
            format!("{:.3} [{least:.3}, {most:.3}]", values().sum::<f64>() / rows.len() as f64)
        };
        let mean =
            |of: &dyn Fn(&KindRow) -> f64| rows.iter().map(|row| of(row)).sum::<f64>() / rows.len() as f64;
        let k = k.map_or_else(|| "no k".to_owned(), |k| format!("k = {k}"));
        text += &format!(
            "{recipe:5} {kind:22} {k:6}  recall {}  precision {}, of firings {:.3}  FVE {:.3}  L0 {:.1} of {:.1}  ({} fits)\n",
            spread(&KindRow::recall),
            spread(&KindRow::precision),
            mean(&|row| row.hit_firings),
            mean(&|row| row.fve),
            mean(&|row| row.l0),
            mean(&|row| row.planted_l0),
            rows.len()
        );
    }
    text
}

/// What the page of the classes says above the numbers.
const ABOUT: &str = "Activations of three variants whose features and fates are known, a crosscoder fitted on them \
     with the defaults of `fit`, and the classes that `diff` gives: what is recovered and rightly classed. The easy \
     set is gated, the hard one reported. `planted.parquet` holds one row a fit and fate.";
/// The same for the kinds.
const ABOUT_KINDS: &str = "Activations of three variants whose features are known, and what each kind of dictionary \
     finds of them with the defaults of `fit`: an SAE in the last variant, a difference in the last minus the first, \
     a crosscoder in all. Means over worlds and fits, with the least and the most; beside L0 is how many planted \
     features are active. A feature is live from 10 firings on, as `diff` asks; of firings: the share of all firings \
     that are of features which match. Kinds without k are made sparse by their `penalty`. TopK and Matryoshka spend \
     k whether there is something to spend it on or not: TopK on weak features beside the planted ones, Matryoshka on \
     prefixes that blend features, since they have fewer than the data, which has no hierarchy here. BatchTopK pays a \
     toll for what it spends. `planted_kinds.parquet` holds one row a fit.";

/// Writes the table and the page beside it.
fn write_page<R: Serialize>(
    arguments: &CheckPlantedArguments,
    out: &Path,
    table: &TableSpec,
    rows: &[R],
    (about, lines): (&str, &str),
) -> Result<()> {
    std::fs::create_dir_all(out).map_err(|error| io("create", out, error))?;
    tables::write(&out.join(format!("{}.parquet", table.name)), table, rows)?;
    let path = out.join("README.md");
    std::fs::write(&path, page(arguments, out, about, lines)).map_err(|error| io("write", &path, error))
}

fn page(arguments: &CheckPlantedArguments, out: &Path, about: &str, lines: &str) -> String {
    let mut command = format!(
        "deltascope check planted --seeds {} --fits {} --seed {}",
        arguments.seeds, arguments.fits, arguments.seed.seed
    );
    if arguments.easy_only {
        command += " --easy-only";
    }
    if !arguments.k.is_empty() {
        let k: Vec<String> = arguments.k.iter().map(ToString::to_string).collect();
        command += &format!(" --k {}", k.join(","));
    }
    if !arguments.kinds.is_empty() {
        command += &format!(" --kinds {}", arguments.kinds.join(","));
    }
    arguments.set.set.iter().for_each(|set| command += &format!(" --set {set}"));
    command += &format!(" --out {}", out.display());
    format!("# Planted features\n\n{about} Made by\n\n    {command}\n\n```\n{}\n```\n", lines.trim_end())
}

fn text(pooled: &Pooled) -> String {
    let mut text = format!(
        "{} set, k = {}: recall {:.3} [{:.3}, {:.3}], precision {:.3} [{:.3}, {:.3}] ({} worlds, {} fits)\n",
        pooled.recipe,
        pooled.k,
        pooled.recall.mean,
        pooled.recall.low,
        pooled.recall.high,
        pooled.precision.mean,
        pooled.precision.low,
        pooled.precision.high,
        pooled.worlds,
        pooled.fits
    );
    let shares = pooled.false_classes.iter().map(|(name, share)| format!("{name} {:.1} %", 100.0 * share));
    text += &format!("  of the classed: {}", shares.collect::<Vec<_>>().join(", "));
    text += &format!("; undecided {:.1} % of the live\n", 100.0 * pooled.undecided);
    for (fate, [planted, hits, right]) in &pooled.fates {
        text += &format!("  {right:4} right, {hits:4} found of {planted:4}  {fate}\n");
    }
    text
}

fn gate(pooled: &[Pooled]) -> Result<()> {
    // A k that was asked for may be a bad one: only the set's own must pass.
    let gated = |pooled: &&Pooled| pooled.recipe == "easy" && Recipe::easy().k.contains(&(pooled.k as usize));
    for easy in pooled.iter().filter(gated) {
        let (recall, precision) = (easy.recall.mean, easy.precision.mean);
        if !(recall >= RECALL && precision >= PRECISION) {
            return Err(Error::work(format!(
                "easy set: expected recall >= {RECALL} and precision >= {PRECISION}, found {recall:.3} and {precision:.3}"
            )));
        }
    }
    Ok(())
}
