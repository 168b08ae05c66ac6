//! Subcommands, each in its file, and what they share.

pub mod bench;
pub mod demo;
pub mod doctor;
pub mod evaluate;
pub mod experiment;
pub mod export;
pub mod prepare;
pub mod recommend;
pub mod serve;
pub mod train;
pub mod tune;
pub mod update;

use desirepath::data::{Dataset, time};
use desirepath::eval::Seen;
use desirepath::{Error, Gpu, Options, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Debug, clap::Args)]
pub struct Common {
    /// Adapter to run on: part of its name, or its index in `doctor`'s list [default: the best GPU]
    #[arg(long, global = true, env = "DESIREPATH_ADAPTER", value_name = "NAME|INDEX")]
    adapter: Option<String>,
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub json: bool,
}

impl Common {
    /// Opens the device; a software adapter works and is pointed out.
    pub fn gpu(&self) -> Result<Gpu> {
        Common::open(self.options())
    }

    /// How to open it.
    pub fn options(&self) -> Options {
        let options = Options::from_env();
        Options { adapter: self.adapter.clone().or(options.adapter), ..options }
    }

    pub fn open(options: Options) -> Result<Gpu> {
        let gpu = Gpu::open(options)?;
        if gpu.info().software {
            eprintln!("running on {}: correct, but on the CPU", gpu.info());
        }
        Ok(gpu)
    }

    /// Prints `value` as JSON where that was asked for, and as text otherwise.
    ///
    /// # Errors
    /// When it cannot be written. Somebody who closes the pipe has read enough: then the program ends quietly.
    pub fn print(&self, value: &impl Serialize, text: impl std::fmt::Display) -> Result<()> {
        let text = match serde_json::to_string_pretty(value) {
            Ok(json) if self.json => json + "\n",
            _ => text.to_string(),
        };
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
            written => written.map_err(|e| Error::file(Path::new("standard output"), &e)),
        }
    }

    /// A bar on the terminal with an ETA; silent where the output is for machines or not a terminal.
    pub fn bar(&self, total: usize, template: &str) -> ProgressBar {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let target = if self.json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        ProgressBar::with_draw_target(Some(total as u64), target).with_style(style)
    }
}

/// Whether items of the user's own past may be recommended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SeenArg {
    /// Keep them where people come back (more than a tenth of the events are repeats), filter them elsewhere
    Auto,
    /// Never recommend what the user has had
    Filter,
    /// Anything may be recommended again
    Keep,
}

impl SeenArg {
    pub fn resolve(self, dataset: &Dataset) -> Seen {
        match self {
            SeenArg::Filter => Seen::Filter,
            SeenArg::Keep => Seen::Keep,
            SeenArg::Auto if revisit_share(dataset) > 0.1 => Seen::Keep,
            SeenArg::Auto => Seen::Filter,
        }
    }
}

/// Share of events whose item the user had before.
pub fn revisit_share(dataset: &Dataset) -> f64 {
    let mut seen_by = vec![0; dataset.n_items() + 1];
    let mut repeats = 0;
    for user in 1..=dataset.n_users() {
        for item in &dataset.item[dataset.events_of(user)] {
            let last = std::mem::replace(&mut seen_by[*item as usize], user);
            repeats += usize::from(last == user);
        }
    }
    repeats as f64 / dataset.n_events().max(1) as f64
}

/// Writes beside the old file, then in its place: a kill leaves one or the other.
pub fn write_in_place(path: &Path, text: &str) -> Result<()> {
    let temporary = path.with_extension("new");
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let written = folder.and_then(|()| std::fs::write(&temporary, text));
    written.and_then(|()| std::fs::rename(&temporary, path)).map_err(|e| Error::file(path, &e))
}

/// The date in UTC, `YYYY-MM-DD`.
pub fn today() -> String {
    time::date(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()))
}
