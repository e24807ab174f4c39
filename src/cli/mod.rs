//! The command line: one file a verb; raw flags -> checked request -> library call -> a short answer.
//!
//! Answers go to stdout, progress and logs to stderr. Exit codes: 0 done, 1 the work failed, 2 the
//! request was wrong, 130 (Ctrl-C) and 143 (SIGTERM, or Slurm's warning SIGUSR1) stopped with a checkpoint saved.
//!
//! To add the verb `fit`:
//!
//! 1. Write `fit.rs` with `#[derive(clap::Args)] pub(crate) struct FitArguments` (raw flags; each doc
//!    comment is its help) and `pub(crate) fn fit(arguments: FitArguments, context: &Context) -> Result<()>`.
//! 2. Below, add `mod fit;`, one line to `Command` (its doc comment is the line in `--help`) and one line
//!    to `dispatch`. A `check …` verb goes to `check.rs` in the same way.
//!
//! A verb reads its flags, calls the library with `context.observer` and `context.device()?`, and ends
//! with `context.printer.answer(&value, || text)`: `text` for people, `value` as JSON under `--json`.
//! `--seed` and `--set` come from `flags.rs`, so that they mean the same everywhere.

mod capture;
mod check;
mod check_adapter;
mod check_calibration;
mod check_data;
mod check_dictionary;
mod check_model;
mod check_objectives;
mod check_planted;
mod check_study;
mod claims;
mod context;
mod convert;
mod diff;
mod eval;
mod fit;
mod flags;
mod intervene;
mod logging;
mod plan;
mod printer;
mod progress;
mod report;
mod run;
mod sample;
mod signals;
mod store;
mod threads;
mod train;

pub(crate) use context::Context;

use crate::error::Result;
use clap::{Parser, Subcommand};
use std::ffi::OsString;

/// Which features carry reasoning transfer, and which carry the loss of safety, between a model and its
/// post-trained variants.
#[derive(Parser)]
#[command(name = "deltascope", version, subcommand_required = true, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    globals: context::GlobalArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a study: every stage that is not there yet, then the report.
    Run(run::RunArguments),
    /// List the stages of a study, which are cached, and what the rest will take.
    Plan(plan::PlanArguments),
    /// Post-train one model by one method.
    Train(train::TrainArguments),
    /// Draw completions of prompts from a model.
    Sample(sample::SampleArguments),
    /// Write activations of a model by hook name, or list its hook points.
    Capture(capture::CaptureArguments),
    /// Fit sparse dictionaries on activations.
    Fit(fit::FitArguments),
    /// Write a dictionary in another format.
    Convert(convert::ConvertArguments),
    /// Say what changed between the variants of a dictionary, feature by feature.
    Diff(diff::DiffArguments),
    /// Edit features, directions or heads of given models, and measure what that does beside controls.
    Intervene(intervene::InterveneArguments),
    /// Decide the declared hypotheses from the tables of an experiment.
    Claims(claims::ClaimsArguments),
    /// Verify one thing and say how well it holds.
    Check(check::CheckArguments),
    /// Sample a model on suites and score its answers.
    Eval(eval::EvalArguments),
    /// Draw the page of a study again from its tables.
    Report(report::ReportArguments),
    /// List what lies in a store, or compare every byte of it with its checksums.
    Store(store::StoreArguments),
}

fn dispatch(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Run(arguments) => run::run(arguments, context),
        Command::Plan(arguments) => plan::plan(arguments, context),
        Command::Train(arguments) => train::train(arguments, context),
        Command::Sample(arguments) => sample::sample(arguments, context),
        Command::Capture(arguments) => capture::capture(arguments, context),
        Command::Fit(arguments) => fit::fit(arguments, context),
        Command::Convert(arguments) => convert::convert(arguments, context),
        Command::Diff(arguments) => diff::diff(arguments, context),
        Command::Intervene(arguments) => intervene::intervene(arguments, context),
        Command::Claims(arguments) => claims::claims(arguments, context),
        Command::Check(arguments) => check::check(arguments, context),
        Command::Eval(arguments) => eval::eval(arguments, context),
        Command::Report(arguments) => report::report(arguments, context),
        Command::Store(arguments) => store::store(arguments, context),
    }
}

/// Runs the command line `arguments` (the program's name first) and returns the exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    crate::ops::allocation::keep_freed_memory();
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed pipe is the reader's choice, as in `deltascope --help | head -1`.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let context = Context::new(arguments.globals);
    match threads::check().and_then(|()| dispatch(arguments.command, &context)) {
        Ok(()) => 0,
        Err(error) => {
            context.printer.failure(&error);
            error.exit_code()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_flags_of_every_verb_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
