//! `check planted`: how much of planted activations do `fit` and `diff` find?

use super::Context;
use super::flags::{SeedFlag, SetFlag};
use crate::dictionaries::FitSettings;
use crate::diff::DiffSettings;
use crate::diff::planted::{PlantedRow, PlantedStore, Pooled, Recipe, pool};
use crate::error::{Error, Result, io};
use crate::tables::{self, catalogue};
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
    /// Receives `planted.parquet` and a page.
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
    let settings = arguments.set.apply(&FitSettings::default())?;
    let mut recipes = vec![Recipe::easy()];
    if !arguments.easy_only {
        recipes.push(Recipe::hard());
    }
    let rows = trials(&arguments, &recipes, &settings, context)?;
    let pooled = pool(&rows, arguments.seed.seed);
    let lines = || pooled.iter().map(text).collect::<Vec<_>>().join("\n");
    if let Some(out) = &arguments.out {
        std::fs::create_dir_all(out).map_err(|error| io("create", out, error))?;
        tables::write(&out.join("planted.parquet"), &catalogue::PLANTED, &rows)?;
        let path = out.join("README.md");
        std::fs::write(&path, report(&arguments, out, &lines()))
            .map_err(|error| io("write", &path, error))?;
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
    let scratch = std::env::temp_dir().join(format!("deltascope-planted-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).map_err(|error| io("create", &scratch, error))?;
    let fits: u64 = recipes.iter().map(|recipe| recipe.k.len() as u64).sum();
    let mut bar = context.observer.bar("check planted", fits * arguments.seeds * arguments.fits, "fits");
    let silent = crate::progress::Observer::silent();
    let mut rows = Vec::new();
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
                    let score = planted.trial(settings, &DiffSettings::default(), k, fit_seed, &silent)?;
                    rows.extend(planted.rows(&score, k, fit_seed));
                    bar.advance(1);
                }
            }
        }
        Ok(())
    })();
    // A leftover in the system's temporary folder is no reason to fail.
    let _ = std::fs::remove_dir_all(&scratch);
    result.map(|()| rows)
}

/// The page beside the table.
fn report(arguments: &CheckPlantedArguments, out: &Path, lines: &str) -> String {
    let set: String = arguments.set.set.iter().map(|set| format!(" --set {set}")).collect();
    let easy_only = if arguments.easy_only { " --easy-only" } else { "" };
    format!(
        "# Planted features\n\nActivations of three variants whose features and fates are known, a crosscoder fitted \
         on them with the defaults of `fit`, and the classes that `diff` gives: what is recovered and rightly classed. \
         The easy set is gated, the hard one reported. `planted.parquet` holds one row a fit and fate. Made by\n\n    \
         deltascope check planted --seeds {} --fits {} --seed {}{easy_only}{set} --out {}\n\n```\n{}\n```\n",
        arguments.seeds,
        arguments.fits,
        arguments.seed.seed,
        out.display(),
        lines.trim_end(),
    )
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
    for easy in pooled.iter().filter(|pooled| pooled.recipe == "easy") {
        let (recall, precision) = (easy.recall.mean, easy.precision.mean);
        if !(recall >= RECALL && precision >= PRECISION) {
            return Err(Error::work(format!(
                "easy set: expected recall >= {RECALL} and precision >= {PRECISION}, found {recall:.3} and {precision:.3}"
            )));
        }
    }
    Ok(())
}
