//! `deltascope plan STUDY`: the stages, which are cached, and what the rest will take.

use super::Context;
use super::flags::StudyFlags;
use crate::error::Result;
use crate::study::{self, Estimate, Plan};
use std::fmt::Write;

/// The flags of `plan`.
#[derive(clap::Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    study: StudyFlags,
}

pub(crate) fn plan(arguments: PlanArguments, context: &Context) -> Result<()> {
    let study = arguments.study.load()?;
    let place = arguments.study.place(&study, context.device()?);
    let plan = study::plan(&study, &place)?;
    context.printer.answer(&plan, || text(&plan))
}

fn text(plan: &Plan) -> String {
    let width =
        plan.stages.iter().map(|stage| stage.name.len()).max().unwrap_or(0).max("still to make".len());
    let mut text =
        format!("{:width$}  {:16}  {:7}  {}\n", "stage", "artifact", "state", "time, memory, disk");
    for stage in &plan.stages {
        let state = match (stage.cached, stage.older.is_empty()) {
            (true, true) => "cached",
            (true, false) => "older",
            (false, _) => "to make",
        };
        let _ =
            writeln!(text, "{:width$}  {:16}  {state:7}  {}", stage.name, stage.id, amounts(&stage.estimate));
    }
    for reach in &plan.reach {
        let _ = writeln!(text, "{}", reach.sentence());
    }
    let missing = plan.stages.iter().filter(|stage| !stage.cached).count();
    if missing == 0 {
        return text + "everything is cached";
    }
    let _ = write!(
        text,
        "{:width$}  {:16}  {:7}  {} (estimated for two CPU cores)",
        "still to make",
        "",
        missing,
        amounts(&plan.remaining)
    );
    text
}

fn amounts(estimate: &Estimate) -> String {
    format!(
        "{}, {}, {}",
        duration(estimate.seconds),
        bytes(estimate.memory_bytes),
        bytes(estimate.disk_bytes)
    )
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{s:.0} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

fn bytes(bytes: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let power = ((bytes.max(1.0).log10() / 3.0).floor() as usize).min(units.len() - 1);
    format!("{:.0} {}", bytes / 1000_f64.powi(power as i32), units[power])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_well() {
        let estimate = Estimate { seconds: 110.0, memory_bytes: 1.4e9, disk_bytes: 0.0 };
        assert_eq!(amounts(&estimate), "2 min, 1 GB, 0 B");
        assert_eq!((duration(99.4), duration(7200.0)), ("99 s".into(), "2.0 h".into()));
    }
}
