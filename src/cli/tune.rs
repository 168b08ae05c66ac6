mod space;

use super::train::bar_of;
use super::{Common, SeenArg, today};
use desirepath::data::Dataset;
use desirepath::eval::Seen;
use desirepath::model::Config;
use desirepath::train::{Checkpoint, TrainOptions, Trainer, fingerprint, fitting};
use desirepath::{Error, Gpu, Result};
use serde::{Deserialize, Serialize};
use space::Space;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Search for settings on the validation alone: random draws, of which the better half goes on for twice as long.
///
/// Successive halving (Jamieson & Talwalkar 2016): all trials train for some epochs, the better half for twice as many,
/// and so on until one has trained to the end. The test events are never looked at. The same command goes on where it was
/// stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  desirepath tune .data/ml-100k --out .out/tune
  desirepath tune .data/ml-100k --out .out/tune --trials 32 --set epochs=20 --space space.toml

A space (the default is like this):
  lr = { log = [5e-4, 5e-3] }      # any number between, evenly in the logarithm
  decay = { log = [1e-4, 0.1] }
  dropout = [0.0, 0.1, 0.2, 0.3]   # one of these
  blocks = { int = [1, 3] }        # a whole number, both ends included; { real = [a, b] } for any number")]
pub struct Args {
    /// Folder that `prepare` wrote
    dataset: PathBuf,
    /// Folder for the trials and the result
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Draws to begin with; each halving takes away half
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=4096))]
    trials: u32,
    /// Stages to start from [default: desirepath]
    #[arg(long, default_value = "desirepath")]
    preset: String,
    /// A setting of all trials, as for `train`
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// TOML file that says what is drawn from where
    #[arg(long, value_name = "FILE")]
    space: Option<PathBuf>,
    /// Seed of the draws and of every training
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What a search has that a training has not: few epochs, and a patience that never ends a trial before its round does.
const EPOCHS: usize = 16;
const PATIENCE: usize = 1000;

/// One draw, and how far it has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Trial {
    number: usize,
    /// What was drawn: `lr=0.002 …`.
    settings: Vec<(String, String)>,
    epochs: usize,
    best_epoch: usize,
    validation_ndcg10: f64,
    /// Why it can't go on: a loss that is not finite, say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Search {
    dataset: String,
    /// Tells searches apart: another one does not go on in the same folder.
    asked: String,
    adapter: String,
    date: String,
    trials: Vec<Trial>,
}

pub fn run(args: &Args, common: &Common) -> Result<()> {
    let dataset = Dataset::load(&args.dataset)?;
    let space = Space::read(args.space.as_deref())?;
    let base = base(args)?;
    let draws = space.draw(args.trials as usize, args.seed, &base)?;
    let gpu = common.gpu()?;
    let path = args.out.join("tune.json");
    let asked = format!("{:?} {:?} {draws:?}", base, fingerprint(&dataset));
    let mut search = match read(&path)? {
        Some(found) if found.asked == asked => found,
        Some(_) => {
            let message = "another search was begun here; choose another --out or remove the folder";
            return Err(Error::format(&path, message));
        }
        None => Search {
            dataset: args.dataset.display().to_string(),
            asked,
            adapter: gpu.info().to_string(),
            date: today(),
            trials: draws.into_iter().enumerate().map(|(i, settings)| Trial::new(i + 1, settings)).collect(),
        },
    };
    let seen = SeenArg::Auto.resolve(&dataset);
    let rungs = rungs(search.trials.len(), base.1.epochs);
    for (rung, (keep, epochs)) in rungs.iter().enumerate() {
        // Those that came this far, whatever became of them later: a second start goes the same way.
        let entered = rung.checked_sub(1).map_or(0, |before| rungs[before].1);
        for i in best(&search.trials, *keep, entered) {
            if search.trials[i].epochs < *epochs && search.trials[i].failed.is_none() {
                let trial = &search.trials[i];
                eprintln!("round {} of {}: trial {}, {}", rung + 1, rungs.len(), trial.number, trial.says());
                search.trials[i] = go_on(&gpu, &dataset, seen, &base, trial, *epochs, args, common)?;
                write(&path, &search)?;
            }
        }
    }
    let text = text(&search, args);
    common.print(&search, text)
}

impl Trial {
    fn new(number: usize, settings: Vec<(String, String)>) -> Trial {
        Trial { number, settings, epochs: 0, best_epoch: 0, validation_ndcg10: 0.0, failed: None }
    }

    fn says(&self) -> String {
        self.settings.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    }
}

fn base(args: &Args) -> Result<(Config, TrainOptions)> {
    let mut config = Config::preset(&args.preset)?;
    let mut options = TrainOptions { seed: args.seed, epochs: EPOCHS, patience: PATIENCE, ..TrainOptions::default() };
    for pair in &args.set {
        let split = pair.split_once('=');
        let (key, value) = split.ok_or_else(|| Error::Config(format!("--set {pair}: expected KEY=VALUE")))?;
        desirepath::train::set(&mut config, &mut options, key.trim(), value.trim())?;
    }
    if options.validate_every != 1 {
        return Err(Error::Config("validate_every: halving looks at each epoch's validation; leave it at 1".into()));
    }
    Ok((config, options))
}

/// How many trials go how far: all for a share of the epochs, then the better half for twice as many, one to the end.
fn rungs(trials: usize, epochs: usize) -> Vec<(usize, usize)> {
    let halvings = trials.ilog2();
    let rung = |i: u32| ((trials >> i).max(1), (epochs >> (halvings - i)).max(1));
    let mut list: Vec<(usize, usize)> = (0..=halvings).map(rung).collect();
    list.dedup_by_key(|(_, epochs)| *epochs); // more halvings than epochs: the first of equals has the most trials
    list
}

/// The best `keep` by validation, of those that have not failed before the end of epoch `entered`, best first; those that have not begun count as equal, in their order.
fn best(trials: &[Trial], keep: usize, entered: usize) -> Vec<usize> {
    let in_race = |t: &Trial| t.failed.is_none() || (entered > 0 && t.epochs >= entered);
    let mut order: Vec<usize> = (0..trials.len()).filter(|i| in_race(&trials[*i])).collect();
    order.sort_by(|a, b| trials[*b].validation_ndcg10.total_cmp(&trials[*a].validation_ndcg10).then(a.cmp(b)));
    order.truncate(keep);
    order
}

#[allow(clippy::too_many_arguments)]
fn go_on(
    gpu: &Gpu,
    dataset: &Dataset,
    seen: Seen,
    base: &(Config, TrainOptions),
    trial: &Trial,
    epochs: usize,
    args: &Args,
    common: &Common,
) -> Result<Trial> {
    let (mut config, mut options) = base.clone();
    for (key, value) in &trial.settings {
        desirepath::train::set(&mut config, &mut options, key, value)?;
    }
    let model = args.out.join(format!("trial-{}", trial.number));
    let mut trainer = match Checkpoint::exists(&model) {
        true => {
            let checkpoint = Checkpoint::open_training(&model)?;
            if (&checkpoint.config, &checkpoint.options) != (&fitting(&config, dataset, seen), &options) {
                return Err(Error::format(&model, "begun with other settings; choose another --out"));
            }
            Trainer::resume(gpu, dataset, &model, seen)?
        }
        false => Trainer::new(gpu, dataset, &config, &options, seen)?,
    };
    let ended = trainer.run_to(epochs, Some(&model), &mut *bar_of(common));
    let state = trainer.state();
    let done = Trial {
        epochs: state.epoch,
        best_epoch: state.best_epoch,
        validation_ndcg10: state.best_ndcg10,
        ..trial.clone()
    };
    match ended {
        Ok(()) => Ok(done),
        // A rate that is too high is an answer, too; so is a model that is too large.
        Err(e @ (Error::NotFinite { .. } | Error::OutOfMemory(_))) => Ok(Trial { failed: Some(e.to_string()), ..done }),
        Err(other) => Err(other),
    }
}

fn read(path: &Path) -> Result<Option<Search>> {
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|e| Error::format(path, e.to_string())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::file(path, &e)),
    }
}

fn write(path: &Path, search: &Search) -> Result<()> {
    let text = serde_json::to_string_pretty(search).map_err(|e| Error::Config(e.to_string()))?;
    super::write_in_place(path, &(text + "\n"))
}

fn text(search: &Search, args: &Args) -> String {
    let mut text = format!("{:>5}  {:>6}  {:>10}  settings\n", "trial", "epochs", "ndcg@10");
    let order = best(&search.trials, search.trials.len(), usize::MAX);
    for trial in order.iter().map(|i| &search.trials[*i]) {
        let _ = writeln!(
            text,
            "{:>5}  {:>6}  {:>10.4}  {}",
            trial.number,
            trial.epochs,
            trial.validation_ndcg10,
            trial.says()
        );
    }
    for trial in search.trials.iter().filter(|t| t.failed.is_some()) {
        let _ = writeln!(text, "{:>5}  failed: {}", trial.number, trial.failed.as_deref().unwrap_or_default());
    }
    if let Some(best) = order.first().map(|i| &search.trials[*i]) {
        let own = [format!("epochs={EPOCHS}"), format!("patience={PATIENCE}")]; // what comes later counts
        let sets = own
            .into_iter()
            .chain(args.set.iter().cloned())
            .chain(best.settings.iter().map(|(k, v)| format!("{k}={v}")));
        let sets: String = sets.map(|pair| format!(" --set {pair}")).collect();
        let _ = writeln!(
            text,
            "\nvalidation NDCG@10, the best of its epochs; best so far:\n\
             desirepath train {} --out MODEL --preset {} --seed {}{sets}",
            args.dataset.display(),
            args.preset,
            args.seed
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halvings_end_with_one_trial_and_all_epochs() {
        assert_eq!(rungs(16, 16), [(16, 1), (8, 2), (4, 4), (2, 8), (1, 16)]);
        assert_eq!(rungs(4, 20), [(4, 5), (2, 10), (1, 20)]);
        assert_eq!(rungs(8, 2), [(8, 1), (1, 2)]);
        assert_eq!(rungs(6, 12), [(6, 3), (3, 6), (1, 12)]);
    }

    #[test]
    fn the_best_by_validation_go_on_and_the_failed_do_not() {
        let mut trials: Vec<Trial> = (1..=4).map(|n| Trial::new(n, Vec::new())).collect();
        assert_eq!(best(&trials, 2, 0), [0, 1]);
        for (trial, value) in trials.iter_mut().zip([0.1, 0.4, 0.3, 0.2]) {
            trial.validation_ndcg10 = value;
        }
        trials[1].failed = Some("too large".into());
        assert_eq!(best(&trials, 2, 1), [2, 3]);
        trials[1].epochs = 1;
        assert_eq!(best(&trials, 2, 1), [1, 2], "it failed after the round that it was chosen for");
    }
}
