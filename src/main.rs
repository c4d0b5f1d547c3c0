//! The `sarb` program: parse, run, exit code.

use clap::Parser;

fn main() {
    let cli = sarb::cli::Cli::parse();
    if let Err(error) = sarb::cli::run(cli) {
        for line in error.to_string().lines() {
            eprintln!("sarb: {line}");
        }
        std::process::exit(error.exit_code());
    }
}
