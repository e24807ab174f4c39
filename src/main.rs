//! Parse, call, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(deltascope::cli::main(std::env::args_os()))
}
