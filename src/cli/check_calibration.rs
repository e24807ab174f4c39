//! `check calibration`: does the method claim what is true, and nothing else?

use super::Context;
use super::flags::{SeedFlag, SetFlag};
use crate::claims::ClaimSettings;
use crate::claims::calibration::{Calibration, Method, calibrate};
use crate::error::{Error, Result, io};
use crate::tables::{self, catalogue};
use std::path::PathBuf;

/// The flags of `check calibration`.
#[derive(clap::Args)]
pub(crate) struct CheckCalibrationArguments {
    /// Planted micro-worlds; twice as many null ones are run beside them.
    #[arg(long, default_value_t = 200, value_name = "N")]
    seeds: u64,
    /// Receives `calibration.parquet` and a page, which also says whether broken methods are caught.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    seed: SeedFlag,
    /// Overrides of the settings of `claims`.
    #[command(flatten)]
    set: SetFlag,
}

pub(crate) fn check_calibration(arguments: CheckCalibrationArguments, context: &Context) -> Result<()> {
    if arguments.seeds == 0 {
        return Err(Error::request("`--seeds`: expected at least 1, found 0"));
    }
    let settings = arguments.set.apply(&ClaimSettings::default())?;
    let (planted, nulls) = (arguments.seeds, arguments.seeds.saturating_mul(2));
    let rows = calibrate(nulls, planted, Method::Sound, &settings, arguments.seed.seed, &context.observer)?;
    if let Some(out) = &arguments.out {
        std::fs::create_dir_all(out).map_err(|error| io("create", out, error))?;
        tables::write(&out.join("calibration.parquet"), &catalogue::CALIBRATION, &rows)?;
    }
    let found = Calibration::of(&rows, settings.alpha);
    if let Some(out) = &arguments.out {
        let broken = Method::BROKEN.map(|method| {
            let (nulls, planted) = (2 * SHORT, SHORT);
            let rows = calibrate(nulls, planted, method, &settings, arguments.seed.seed, &context.observer)?;
            Ok((method, Calibration::of(&rows, settings.alpha)))
        });
        let broken = broken.into_iter().collect::<Result<Vec<_>>>()?;
        let path = out.join("README.md");
        std::fs::write(&path, report(&arguments, &found, &broken))
            .map_err(|error| io("write", &path, error))?;
    }
    context.printer.answer(&found, || text(&found))?;
    match found.failures() {
        failures if failures.is_empty() => Ok(()),
        failures => Err(Error::work(format!("the method is not calibrated: {}", failures.join("; ")))),
    }
}

/// Planted worlds in which each broken method is run for the report: as many as CI runs.
const SHORT: u64 = 20;

/// The page beside the table.
fn report(
    arguments: &CheckCalibrationArguments,
    found: &Calibration,
    broken: &[(Method, Calibration)],
) -> String {
    let set: String = arguments.set.set.iter().map(|set| format!(" --set {set}")).collect();
    let out = arguments.out.as_deref().unwrap_or(std::path::Path::new("")).display();
    let line = |name: &str, found: &Calibration| {
        let [least, most] = found.covered_limits;
        format!(
            "| {name} | {} of {} (at most {}) | {} of {} | {} of {} ({least} to {most}) | {} |\n",
            found.null_claims,
            found.nulls,
            found.null_limit,
            found.planted_right,
            found.planted,
            found.covered,
            found.planted,
            if found.failures().is_empty() { "passes" } else { "is caught" },
        )
    };
    let rows: String = broken.iter().map(|(method, found)| line(method.name(), found)).collect();
    format!(
        "# Calibration\n\nWhole studies in micro-worlds whose true effects are known: activations with planted \
         features, real edits, real selection, matched controls and decisions. `calibration.parquet` holds one row a \
         world. Made by\n\n    deltascope check calibration --seeds {} --seed {}{set} --out {out}\n\n\
         | method | claims in null worlds | planted sets found and rightly judged | true effects covered | |\n\
         |---|---|---|---|---|\n{}{rows}\n\
         The broken methods are run in {SHORT} planted and {} null worlds, as CI runs them: each must be caught.\n",
        arguments.seeds,
        arguments.seed.seed,
        line(Method::Sound.name(), found),
        2 * SHORT,
    )
}

fn text(found: &Calibration) -> String {
    let [least, most] = found.covered_limits;
    format!(
        "null worlds: {} claims in {} (at most {})\nplanted worlds: {} of {} found and rightly judged\n\
         true effects covered: {} of {} ({least} to {most})",
        found.null_claims,
        found.nulls,
        found.null_limit,
        found.planted_right,
        found.planted,
        found.covered,
        found.planted
    )
}
