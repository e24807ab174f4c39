//! `check calibration`: does the method claim what is true, and nothing else?

use super::Context;
use super::flags::{SeedFlag, SetFlag};
use crate::claims::ClaimSettings;
use crate::claims::calibration::{Calibration, calibrate};
use crate::error::{Error, Result, io};
use crate::tables::{self, catalogue};
use std::path::PathBuf;

/// The flags of `check calibration`.
#[derive(clap::Args)]
pub(crate) struct CheckCalibrationArguments {
    /// Planted micro-worlds; twice as many null ones are run beside them.
    #[arg(long, default_value_t = 200, value_name = "N")]
    seeds: u64,
    /// Receives `calibration.parquet`.
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
    let rows = calibrate(nulls, planted, &settings, arguments.seed.seed, &context.observer)?;
    if let Some(out) = &arguments.out {
        std::fs::create_dir_all(out).map_err(|error| io("create", out, error))?;
        tables::write(&out.join("calibration.parquet"), &catalogue::CALIBRATION, &rows)?;
    }
    let found = Calibration::of(&rows, settings.alpha);
    context.printer.answer(&found, || text(&found))?;
    match found.failures() {
        failures if failures.is_empty() => Ok(()),
        failures => Err(Error::work(format!("the method is not calibrated: {}", failures.join("; ")))),
    }
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
