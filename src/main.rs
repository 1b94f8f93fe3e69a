//! `chancery`: parses the command line, runs the command, sets the exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    chancery::cli::run(chancery::cli::Cli::parse())
}
