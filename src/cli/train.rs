use super::{Common, SeenArg};
use desirepath::data::Dataset;
use desirepath::eval::Seen;
use desirepath::model::{Config, PRESETS};
use desirepath::train::{Checkpoint, Progress, State, TrainOptions, Trainer, fitting, read_settings, set};
use desirepath::{Error, Gpu, Result};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Train a model on a prepared dataset.
///
/// The newest event of each user is held out for `evaluate`, the one before it chooses the epoch. A training that was
/// killed goes on with --resume and ends with the same weights, bit for bit.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  desirepath train .data/ml-100k --out .out/ml-100k
  desirepath train .data/nyc --out .out/nyc --set request_time=true --set len=100 --seed 2
  desirepath train .data/ml-1m --out .out/sasrec --preset sasrec --set len=200 --set epochs=30
  desirepath train .data/ml-1m --out .out/sasrec --resume")]
pub struct Args {
    /// Folder that `prepare` wrote
    dataset: PathBuf,
    /// Folder of the model to write
    #[arg(long, value_name = "MODEL")]
    out: PathBuf,
    /// Stages to start from: desirepath, gru4rec, sasrec, bert4rec, hstu or mf [default: desirepath]
    #[arg(long, long_help = presets())]
    preset: Option<String>,
    /// TOML file with tables [model] and [train]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Change one setting, e.g. dim=128, train.lr=1e-3 (an unknown name lists them all)
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Seed of everything random
    #[arg(long)]
    seed: Option<u64>,
    /// Go on from what is in --out; start where there is nothing yet
    #[arg(long)]
    resume: bool,
    /// Replace the model in --out, which stays until the first epoch of the new one has ended
    #[arg(long, conflicts_with = "resume")]
    force: bool,
    /// Items the user had before: in the ranking of the validation or not
    #[arg(long, value_enum, default_value = "auto")]
    seen: SeenArg,
    /// Time every kernel on the device and print the sums at the end (slower)
    #[arg(long)]
    profile: bool,
}

#[derive(Serialize)]
struct Summary<'a> {
    model: &'a PathBuf,
    adapter: String,
    seed: u64,
    parameters: usize,
    seen: Seen,
    seconds: f64,
    peak_device_bytes: u64,
    state: &'a State,
}

pub fn run(args: &Args, common: &Common) -> Result<()> {
    let dataset = Dataset::load(&args.dataset)?;
    if Checkpoint::exists(&args.out) && !args.resume {
        let out = args.out.display();
        if !args.force {
            return Err(Error::Config(format!("{out} exists; go on with --resume or replace it with --force")));
        }
        if Checkpoint::replaceable(&args.out).is_err() {
            return Err(Error::Config(format!("{out} is no model that --force could replace; choose another --out")));
        }
    }
    let gpu = common.gpu()?;
    let mut trainer = trainer(args, &gpu, &dataset).map_err(|e| match e {
        Error::NothingToLearn(message) => Error::format(&args.dataset, message),
        other => other,
    })?;
    gpu.set_profiling(args.profile);
    let started = Instant::now();
    train_with_bar(&mut trainer, Some(&args.out), common)?;
    let summary = Summary {
        model: &args.out,
        adapter: gpu.info().to_string(),
        seed: trainer.options().seed,
        parameters: trainer.model().params().count(),
        seen: trainer.seen(),
        seconds: started.elapsed().as_secs_f64(),
        peak_device_bytes: gpu.memory().peak,
        state: trainer.state(),
    };
    let State { best_epoch, best_ndcg10, .. } = summary.state;
    let (model, data) = (args.out.display(), args.dataset.display());
    let text = format!(
        "{} parameters, {:.0} s, best epoch {best_epoch}: validation ndcg@10 {best_ndcg10:.4}\n\
         next: desirepath evaluate {model} {data}\n",
        summary.parameters, summary.seconds
    );
    common.print(&summary, text)?;
    if args.profile {
        print_timings(&gpu)?;
    }
    Ok(())
}

fn print_timings(gpu: &Gpu) -> Result<()> {
    let timings = gpu.take_timings()?;
    let total: f64 = timings.iter().map(|t| t.nanoseconds).sum();
    for t in &timings {
        let (ms, share) = (t.nanoseconds / 1e6, 100.0 * t.nanoseconds / total);
        eprintln!("{:<36}{:>8} dispatches {ms:>10.1} ms {share:>5.1} %", t.kernel, t.dispatches);
    }
    Ok(())
}

fn trainer<'a>(args: &Args, gpu: &Gpu, dataset: &'a Dataset) -> Result<Trainer<'a>> {
    let (config, options) = settings(args)?;
    if args.resume && Checkpoint::exists(&args.out) {
        let checkpoint = Checkpoint::open_training(&args.out)?;
        if args.seen != SeenArg::Auto && args.seen.resolve(dataset) != checkpoint.seen {
            let begun = if checkpoint.seen == Seen::Keep { "keep" } else { "filter" };
            return Err(Error::Config(format!(
                "{} was begun with --seen {begun}; resume it without --seen, or replace it with --force",
                args.out.display()
            )));
        }
        if args.says_how()
            && (&checkpoint.config, &checkpoint.options) != (&fitting(&config, dataset, checkpoint.seen), &options)
        {
            return Err(Error::Config(format!(
                "{} was begun with other settings; resume it without --preset, --config, --set and --seed",
                args.out.display()
            )));
        }
        return Trainer::resume(gpu, dataset, &args.out, checkpoint.seen);
    }
    if args.resume {
        eprintln!("nothing to resume in {}: starting", args.out.display());
    }
    Trainer::new(gpu, dataset, &config, &options, args.seen.resolve(dataset))
}

impl Args {
    /// Whether anything on the command line says how to train.
    fn says_how(&self) -> bool {
        self.preset.is_some() || self.config.is_some() || !self.set.is_empty() || self.seed.is_some()
    }
}

fn settings(args: &Args) -> Result<(Config, TrainOptions)> {
    let mut config = Config::preset(args.preset.as_deref().unwrap_or("desirepath"))?;
    let mut options = TrainOptions::default();
    if let Some(path) = &args.config {
        let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, &e))?;
        read_settings(&text, args.preset.is_none(), &mut config, &mut options)
            .map_err(|e| Error::format(path, e.to_string()))?;
    }
    for pair in &args.set {
        let (key, value) =
            pair.split_once('=').ok_or_else(|| Error::Config(format!("--set {pair}: expected KEY=VALUE")))?;
        set(&mut config, &mut options, key.trim(), value.trim())?;
    }
    options.seed = args.seed.unwrap_or(options.seed);
    Ok((config, options))
}

/// Trains to the end under a bar with loss, metric, speed and ETA.
pub fn train_with_bar(trainer: &mut Trainer, out: Option<&std::path::Path>, common: &Common) -> Result<()> {
    trainer.run(out, &mut *bar_of(common))
}

/// What shows a training's progress.
pub fn bar_of(common: &Common) -> Box<dyn FnMut(Progress)> {
    let bar = common.bar(0, "{prefix} {bar:24} {pos}/{len} steps, {msg}, {elapsed} gone, {eta} to go");
    let (mut metric, mut steps, quiet) = (String::new(), 0, common.json);
    Box::new(move |progress| match progress {
        Progress::Start { epochs, steps_per_epoch, state } => {
            steps = steps_per_epoch;
            bar.set_length((epochs * steps_per_epoch) as u64);
            bar.set_position((state.epoch * steps_per_epoch + state.step_in_epoch) as u64);
            bar.reset_eta();
        }
        Progress::Step { epoch, step_in_epoch, loss, events_per_s } => {
            bar.set_position((epoch * steps + step_in_epoch) as u64);
            bar.set_prefix(format!("epoch {}", epoch + 1));
            bar.set_message(format!("loss {loss:.4}{metric}, {events_per_s:.0} events/s"));
        }
        Progress::Epoch(record) => {
            if let (Some(hr), Some(ndcg)) = (record.hr10, record.ndcg10) {
                metric = format!(", valid ndcg@10 {ndcg:.4}");
                let (epoch, loss) = (record.epoch, record.loss);
                let line = format!("epoch {epoch:>3}  loss {loss:.4}  valid hr@10 {hr:.4}  ndcg@10 {ndcg:.4}");
                match bar.is_hidden() {
                    true => eprintln!("{line}"), // a log of a long training is worth reading, too
                    false => bar.println(line),
                }
            }
        }
        Progress::Stopped { early } => {
            bar.finish_and_clear();
            if early && !quiet {
                eprintln!("stopped early: validation no longer improves");
            }
        }
    })
}

fn presets() -> String {
    let list: String = PRESETS.iter().map(|(name, what)| format!("\n  {name:<11} {what}")).collect();
    format!("Stages to start from [default: desirepath]:{list}")
}
