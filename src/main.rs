//! The `sarb` program: parse, run, exit code.

mod cli;

use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;

/// The exit code of a bug.
const BUG: i32 = 1;

fn main() {
    let cli = cli::Cli::parse();
    let code = match catch_unwind(AssertUnwindSafe(|| cli::run(cli))) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            cli::console::fail(&error);
            error.exit_code()
        }
        // The panic has told where; nothing that a user does should lead here.
        Err(_) => BUG,
    };
    std::process::exit(code);
}
