//! What every verb gets: where to print, where to report progress, which device to use.

use super::printer::Printer;
use super::progress::Bars;
use super::{logging, signals};
use crate::compute::Compute;
use crate::error::Result;
use crate::model::Model;
use crate::progress::Observer;
use std::path::Path;
use std::sync::Arc;

/// Flags that mean the same for every verb.
#[derive(clap::Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct GlobalArguments {
    /// Print the answer as JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Show no progress; the answer and errors only.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Log what is being done. `RUST_LOG` chooses in detail, as in `RUST_LOG=deltascope::training=debug`.
    #[arg(long, short, global = true)]
    verbose: bool,
    /// Where models compute: `cpu`, `cuda:N`, or `cpu-composed` (what a GPU computes, on the CPU: slow, for
    /// checking).
    #[arg(long, global = true, default_value = "cpu", value_name = "DEVICE")]
    device: String,
    /// Number format of matrix products: `f32`, or `bf16` on a GPU (`f16` for checking). Weights, norms,
    /// softmax and loss stay f32.
    #[arg(long, global = true, default_value = "f32", value_name = "FORMAT")]
    dtype: String,
}

/// Handed to every verb.
pub(crate) struct Context {
    /// Owns stdout.
    pub(crate) printer: Printer,
    /// Receives progress and knows whether a signal asked to stop. Pass it to the library.
    pub(crate) observer: Observer,
    device: String,
    dtype: String,
}

impl Context {
    pub(super) fn new(arguments: GlobalArguments) -> Self {
        let bars = Arc::new(Bars::new(arguments.quiet));
        logging::start(&bars, arguments.quiet, arguments.verbose);
        let observer = Observer::new(bars.clone());
        signals::listen(&observer, &bars);
        let printer = Printer::new(arguments.json, bars);
        Self { printer, observer, device: arguments.device, dtype: arguments.dtype }
    }

    /// The device of `--device`, with the number format of `--dtype`.
    ///
    /// # Errors
    /// If a name is unknown, the two do not go together, or the device cannot be opened.
    pub(crate) fn device(&self) -> Result<Compute> {
        Compute::named(&self.device, &self.dtype)
    }

    /// The model in a folder, on that device. What of its files was left out ends the answer.
    ///
    /// # Errors
    /// As [`Context::device`] and [`Model::load`].
    pub(crate) fn model(&self, folder: &Path) -> Result<Model> {
        let model = Model::load(folder, &self.device()?)?;
        self.printer.notes(model.notes());
        if let Ok(tokenizer) = model.tokenizer() {
            self.printer.notes(tokenizer.notes());
        }
        Ok(model)
    }

    /// As [`Context::model`], for a model that reads texts: the answer says what stands before them.
    ///
    /// # Errors
    /// As [`Context::model`].
    pub(crate) fn reading(&self, folder: &Path) -> Result<Model> {
        let model = self.model(folder)?;
        if let Ok(tokenizer) = model.tokenizer() {
            self.printer.note(tokenizer.rule());
        }
        Ok(model)
    }
}
