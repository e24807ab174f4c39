//! `check …`: each verifies one thing and says how well.
//!
//! To add `check model`: write `check_model.rs` as any verb's file, then add one line to [`CheckCommand`]
//! and one to [`check`].

use super::Context;
use crate::error::Result;
use clap::Subcommand;

/// The flags of `check`.
#[derive(clap::Args)]
pub(crate) struct CheckArguments {
    #[command(subcommand)]
    command: CheckCommand,
}

#[derive(Subcommand)]
enum CheckCommand {}

pub(crate) fn check(arguments: CheckArguments, _context: &Context) -> Result<()> {
    match arguments.command {}
}
