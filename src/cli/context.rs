//! What every verb gets: where to print, where to report progress, which device to use.

use super::printer::Printer;
use super::progress::Bars;
use super::{logging, signals};
use crate::error::Result;
use crate::progress::Observer;
use candle_core::Device;
use std::sync::Arc;

/// Flags that mean the same for every verb.
#[derive(clap::Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct GlobalArguments {
    /// Print the answer as JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Show no progress and no notes; errors only.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Log what is being done. `RUST_LOG` chooses in detail, as in `RUST_LOG=deltascope::training=debug`.
    #[arg(long, short, global = true)]
    verbose: bool,
    /// Where to compute: `cpu` or `cuda:N`.
    #[arg(long, global = true, default_value = "cpu", value_name = "DEVICE")]
    device: String,
}

/// Handed to every verb.
pub(crate) struct Context {
    /// Owns stdout.
    pub(crate) printer: Printer,
    /// Receives progress and knows whether a signal asked to stop. Pass it to the library.
    pub(crate) observer: Observer,
    device: String,
}

impl Context {
    pub(super) fn new(arguments: GlobalArguments) -> Self {
        let bars = Arc::new(Bars::new(arguments.quiet));
        logging::start(&bars, arguments.quiet, arguments.verbose);
        let observer = Observer::new(bars.clone());
        signals::listen(&observer, &bars);
        let printer = Printer::new(arguments.json, bars);
        Self { printer, observer, device: arguments.device }
    }

    /// The device of `--device`.
    ///
    /// # Errors
    /// If the name is unknown or the device cannot be opened.
    pub(crate) fn device(&self) -> Result<Device> {
        crate::compute::device(&self.device)
    }
}
