//! `check …`: each verifies one thing and says how well.
//!
//! To add another: write its file as any verb's, then add one line to [`CheckCommand`] and one to [`check`].

use super::{
    Context, check_adapter, check_calibration, check_data, check_dictionary, check_model, check_objectives,
    check_planted, check_study,
};
use crate::error::Result;
use clap::Subcommand;

/// The flags of `check`.
#[derive(clap::Args)]
pub(crate) struct CheckArguments {
    #[command(subcommand)]
    command: CheckCommand,
}

#[derive(Subcommand)]
enum CheckCommand {
    /// Read a study as `run` would, and say what it amounts to.
    Study(check_study::CheckStudyArguments),
    /// Run a model repository through its paces, and against reference tensors.
    Model(check_model::CheckModelArguments),
    /// Read a PEFT adapter, and say what it is, whether it fits its base, and how far it moves it.
    Adapter(check_adapter::CheckAdapterArguments),
    /// Show what is understood of a file of training data, preferences or problems: rows as tokens, what is learned, what is cut.
    Data(check_data::CheckDataArguments),
    /// Read a dictionary of any format and compare what it computes with a file of reference numbers.
    Dictionary(check_dictionary::CheckDictionaryArguments),
    /// Compare our losses and gradients with a file of reference numbers.
    Objectives(check_objectives::CheckObjectivesArguments),
    /// Run studies in micro-worlds whose true effects are known, and count claims, verdicts and coverage.
    Calibration(check_calibration::CheckCalibrationArguments),
    /// Plant features whose fate is known, fit, class, and count what is found.
    Planted(check_planted::CheckPlantedArguments),
}

pub(crate) fn check(arguments: CheckArguments, context: &Context) -> Result<()> {
    match arguments.command {
        CheckCommand::Study(arguments) => check_study::check_study(arguments, context),
        CheckCommand::Model(arguments) => check_model::check_model(arguments, context),
        CheckCommand::Adapter(arguments) => check_adapter::check_adapter(arguments, context),
        CheckCommand::Data(arguments) => check_data::check_data(arguments, context),
        CheckCommand::Dictionary(arguments) => check_dictionary::check_dictionary(arguments, context),
        CheckCommand::Objectives(arguments) => check_objectives::check_objectives(arguments, context),
        CheckCommand::Calibration(arguments) => check_calibration::check_calibration(arguments, context),
        CheckCommand::Planted(arguments) => check_planted::check_planted(arguments, context),
    }
}
