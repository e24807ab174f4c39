//! `check calibration`: does the method claim what is true, and nothing else?

use super::Context;
use super::flags::{SeedFlag, SetFlag};
use crate::claims::ClaimSettings;
use crate::claims::calibration::{Calibration, CalibrationRow, Level, Method, Worlds, calibrate};
use crate::error::{Error, Result, io};
use crate::tables::{self, catalogue};
use std::path::{Path, PathBuf};

/// The flags of `check calibration`.
#[derive(clap::Args)]
pub(crate) struct CheckCalibrationArguments {
    /// Planted micro-worlds of each level; as many of each kind in which every claim is false, and twice as many null ones,
    /// are run beside them.
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
    let run = |level: Level, planted: u64, method: Method| {
        let nulls = planted.saturating_mul(2);
        let worlds = Worlds { nulls, shared: planted, halves: planted, pairs: planted, planted };
        calibrate(level, worlds, method, &settings, arguments.seed.seed, &context.observer)
    };
    let rows: Vec<CalibrationRow> = Level::ALL
        .into_iter()
        .map(|level| run(level, arguments.seeds, Method::Sound))
        .collect::<Result<Vec<_>>>()?
        .concat();
    let found = Level::ALL.map(|level| Calibration::of(level, &rows, settings.alpha));
    if let Some(out) = &arguments.out {
        std::fs::create_dir_all(out).map_err(|error| io("create", out, error))?;
        tables::write(&out.join("calibration.parquet"), &catalogue::CALIBRATION, &rows)?;
        let mut lines: String = found.iter().map(|found| line(Method::Sound, found)).collect();
        for level in Level::ALL {
            for method in level.broken() {
                let rows = run(level, BROKEN, *method)?;
                lines += &line(*method, &Calibration::of(level, &rows, settings.alpha));
            }
        }
        let path = out.join("README.md");
        std::fs::write(&path, report(&arguments, out, &lines)).map_err(|error| io("write", &path, error))?;
    }
    context.printer.answer(&found, || found.iter().map(text).collect())?;
    match found.iter().flat_map(Calibration::failures).collect::<Vec<_>>() {
        failures if failures.is_empty() => Ok(()),
        failures => Err(Error::work(format!("the method is not calibrated: {}", failures.join("; ")))),
    }
}

/// Planted worlds in which each broken method is run for the report: enough for the limits to tell.
const BROKEN: u64 = 30;

/// What the columns of the page's table count.
const WORLDS: &str = "\
In four kinds of worlds every claim is false:

- *null*: an edit does damage in proportion to what it writes, and no set carries anything;
- *base has the skill too*: both models lose the set's skill, and the tuned one is better for another reason;
- *disjoint halves*: a set is planted in what selects, and the problems that measure are of another source, of which it \
carries nothing;
- *permuted pairs*: a set is planted and found, and the problems that measure are paired anew with right answers: the edit \
moves as many outcomes as where it is an effect, for the better as often as for the worse.

In *planted* worlds a set carries one of two suites. The interval of its effect by itself must cover the true one as often \
as it promises, not less and not more. The simultaneous intervals, of the effects on both suites, of their difference, and \
of what lies beyond base, promise that with at least that rate all of them hold.
";

/// A row of the page's table.
fn line(method: Method, found: &Calibration) -> String {
    let failures = found.failures();
    let outcome = match (method, failures.is_empty()) {
        (Method::Sound, true) => "passes".to_owned(),
        (Method::Sound, false) => format!("fails: {}", failures.join("; ")),
        (_, true) => "is not caught".to_owned(),
        (_, false) => "is caught".to_owned(),
    };
    let counts = found.counted().map(|(count, _)| count).join(" | ");
    format!("| {} | {} | {counts} | {outcome} |\n", found.level.name(), method.name())
}

/// The page beside the table.
fn report(arguments: &CheckCalibrationArguments, out: &Path, lines: &str) -> String {
    let set: String = arguments.set.set.iter().map(|set| format!(" --set {set}")).collect();
    format!(
        "# Calibration\n\nWhole studies in micro-worlds whose true effects are known. At the level `activations` \
         codes are drawn and a formula answers: real edits, selection, matched controls and decisions. At the level \
         `model` a decoder with planted weights answers, and the study is the experiments of a real one: hooks, joint \
         readout, edits, sampling, grading, controls. `calibration.parquet` holds one row a world. Made by\n\n    \
         deltascope check calibration --seeds {} --seed {}{set} --out {}\n\n{WORLDS}\n\
         | level | method | {} | |\n|---|---|{}---|\n{lines}\n\
         The broken methods are run in {BROKEN} worlds of each kind, and {} null ones: each must be caught.\n",
        arguments.seeds,
        arguments.seed.seed,
        out.display(),
        Calibration::COUNTED.join(" | "),
        "---|".repeat(Calibration::COUNTED.len()),
        2 * BROKEN,
    )
}

fn text(found: &Calibration) -> String {
    let counts = Calibration::COUNTED.into_iter().zip(found.counted());
    let lines: String = counts.map(|(what, (count, _))| format!("  {what}: {count}\n")).collect();
    format!("{}\n{lines}", found.level.name())
}
