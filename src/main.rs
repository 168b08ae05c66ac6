//! The program `desirepath`: from a file of events to recommendations.

mod cli;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Learns from who did what, when and where, and says what each user will want next. Runs on any Vulkan, Metal or DX12 GPU.
#[derive(Debug, Parser)]
#[command(name = "desirepath", version, max_term_width = 100, after_help = "Start here: desirepath demo")]
struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: cli::Common,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(cli::demo::Args),
    Prepare(cli::prepare::Args),
    Train(cli::train::Args),
    Evaluate(cli::evaluate::Args),
    Recommend(cli::recommend::Args),
    Experiment(cli::experiment::Args),
    Tune(cli::tune::Args),
    Serve(cli::serve::Args),
    Update(cli::update::Args),
    Export(cli::export::Args),
    Bench(cli::bench::Args),
    Doctor(cli::doctor::Args),
}

/// Exit codes: 0 done, 1 the world failed, 2 wrong usage (which clap reports itself).
fn main() -> ExitCode {
    let args = Args::parse();
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // Software drivers look for a window system and complain aloud where a server has none.
        // SAFETY: no other thread has started.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", std::env::temp_dir()) };
    }
    let common = &args.common;
    let result = match &args.command {
        Command::Demo(a) => cli::demo::run(a, common),
        Command::Prepare(a) => cli::prepare::run(a, common),
        Command::Train(a) => cli::train::run(a, common),
        Command::Evaluate(a) => cli::evaluate::run(a, common),
        Command::Recommend(a) => cli::recommend::run(a, common),
        Command::Experiment(a) => cli::experiment::run(a, common),
        Command::Tune(a) => cli::tune::run(a, common),
        Command::Serve(a) => cli::serve::run(a, common),
        Command::Update(a) => cli::update::run(a, common),
        Command::Export(a) => cli::export::run(a, common),
        Command::Bench(a) => cli::bench::run(a, common),
        Command::Doctor(a) => cli::doctor::run(a, common),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if matches!(error, desirepath::Error::Config(_)) { 2 } else { 1 })
        }
    }
}
