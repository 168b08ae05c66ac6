mod plan;
mod report;

use super::train::train_with_bar;
use super::{Common, SeenArg, evaluate::judge, today};
use desirepath::data::Dataset;
use desirepath::eval::{Case, Seen, Split, cases, rank};
use desirepath::model::Config;
use desirepath::train::{Checkpoint, TrainOptions, Trainer, fingerprint, fitting};
use desirepath::{Error, Gpu, Result};
use plan::{Plan, Run};
use report::{Measured, Report};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Train a list of configurations over several seeds, and compare them in one table.
///
/// Whatever is finished stays: the same command goes on where it was stopped, within a training too. The table (report.md)
/// and what is behind it (report.json) are written anew after each training.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  desirepath experiment experiments/smoke.toml
  desirepath experiment experiments/ml-100k.toml --seeds 5 --out .out/ml-100k-stages
  desirepath experiment experiments/ml-1m.toml --only sasrec

A file:
  data = \".data/ml-100k\"        # a folder that `prepare` wrote; or a table [city] with users, places, seed
  baseline = \"sasrec\"           # what the others are compared with [default: the first]
  [all]                         # settings of every run, as for `train --set`
  epochs = 14
  [[run]]
  name = \"sasrec\"
  preset = \"sasrec\"             # [default: desirepath]
  [[run]]
  name = \"without the GRU\"
  set = { gru = false }")]
pub struct Args {
    /// TOML file that lists the runs
    file: PathBuf,
    /// Seeds 1, 2, … of each run
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Only this run of the file (its name; may be given several times)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Write the table of the trainings that have ended, and train nothing; rows may have different numbers of seeds
    #[arg(long)]
    finished: bool,
    /// Folder for models, results and the table [default: .out/experiments/NAME-OF-THE-FILE]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What all runs share.
struct Bench<'a> {
    dataset: &'a Dataset,
    cases: Vec<Case>,
    seen: Seen,
    out: PathBuf,
}

pub fn run(args: &Args, common: &Common) -> Result<()> {
    let plan = Plan::read(&args.file)?;
    let chosen = plan.chosen(&args.only)?;
    let stem = args.file.file_stem().unwrap_or_default();
    let out = args.out.clone().unwrap_or_else(|| Path::new(".out/experiments").join(stem));
    let dataset = plan.dataset()?;
    let cases = cases(&dataset, Split::Test);
    if cases.is_empty() {
        return Err(Error::format(&args.file, "its data has no user with the three events that an evaluation needs"));
    }
    let seen = SeenArg::Auto.resolve(&dataset);
    let bench = Bench { dataset: &dataset, cases, seen, out };
    bench.check(&plan)?;
    let report = match args.finished {
        true => bench.finished(&plan, &chosen, args)?,
        false => bench.train(&plan, &chosen, args, common)?,
    };
    let table = report.markdown();
    common.print(&report, format!("{table}\nwritten to {}\n", bench.out.join("report.md").display()))
}

impl Bench<'_> {
    fn folder(&self, run: &Run, seed: u64) -> PathBuf {
        self.out.join(run.slug()).join(format!("seed-{seed}"))
    }

    fn settings(&self, run: &Run, seed: u64) -> (Config, TrainOptions) {
        let options = TrainOptions { seed, ..run.options.clone() };
        (fitting(&run.config, self.dataset, self.seen), options)
    }

    /// Every setting is looked at before the first long training.
    fn check(&self, plan: &Plan) -> Result<()> {
        for run in &plan.runs {
            let (config, options) = self.settings(run, 1);
            let named = |e: Error| Error::Config(format!("run {:?}: {e}", run.name));
            config.validate().map_err(named)?;
            options.validate().map_err(named)?;
            self.found(run, 1)?;
        }
        Ok(())
    }

    /// Trains what is not there yet.
    fn train(&self, plan: &Plan, chosen: &[usize], args: &Args, common: &Common) -> Result<Report> {
        let gpu = common.gpu()?;
        let total = chosen.len() as u64 * args.seeds;
        let mut measured: Vec<Vec<Measured>> = plan.runs.iter().map(|_| Vec::new()).collect();
        // Seed by seed: a table of all runs is there early, and grows surer.
        for seed in 1..=args.seeds {
            for (nth, i) in chosen.iter().copied().enumerate() {
                let run = &plan.runs[i];
                let at = (seed - 1) * chosen.len() as u64 + nth as u64 + 1;
                eprintln!("{at} of {total}: {}, seed {seed}", run.name);
                let found = self.found(run, seed)?;
                measured[i].push(found.map_or_else(|| self.measure(&gpu, run, seed, common), Ok)?);
                self.report(plan, &measured, args)?;
            }
        }
        self.report(plan, &measured, args)
    }

    /// Of each run the seeds from the first to the last that an earlier time has left.
    fn finished(&self, plan: &Plan, chosen: &[usize], args: &Args) -> Result<Report> {
        let mut measured: Vec<Vec<Measured>> = plan.runs.iter().map(|_| Vec::new()).collect();
        for i in chosen.iter().copied() {
            for seed in 1..=args.seeds {
                let Some(found) = self.found(&plan.runs[i], seed)? else { break };
                measured[i].push(found);
            }
        }
        match measured.iter().all(Vec::is_empty) {
            true => Err(Error::format(&self.out, "no training has ended here; leave out --finished to train")),
            false => self.report(plan, &measured, args),
        }
    }

    /// What an earlier time has left.
    fn found(&self, run: &Run, seed: u64) -> Result<Option<Measured>> {
        let folder = self.folder(run, seed);
        let (config, options) = self.settings(run, seed);
        let found = Measured::read(&folder)?;
        found.iter().try_for_each(|found| found.expect(&config, &options, self.dataset, &folder))?;
        Ok(found)
    }

    /// By training, on from wherever it was stopped.
    fn measure(&self, gpu: &Gpu, run: &Run, seed: u64, common: &Common) -> Result<Measured> {
        let folder = self.folder(run, seed);
        let (config, options) = self.settings(run, seed);
        let model = folder.join("model");
        let mut trainer = match Checkpoint::exists(&model) {
            true => self.resume(gpu, &model, &config, &options)?,
            false => Trainer::new(gpu, self.dataset, &config, &options, self.seen)?,
        };
        let whole = trainer.state().step == 0;
        gpu.reset_peak();
        let started = Instant::now();
        train_with_bar(&mut trainer, Some(&model), common)?;
        let seconds = whole.then(|| started.elapsed().as_secs_f64());
        let peak_device_bytes = whole.then(|| gpu.memory().peak);
        let bar = common.bar(self.cases.len(), "ranking {bar:24} {pos}/{len} users, {eta} to go");
        let ranked =
            rank(trainer.model(), self.dataset, &self.cases, self.seen, true, &mut |n| bar.set_position(n as u64))?;
        bar.finish_and_clear();
        let events = trainer.stretches().iter().map(|s| s.range.len() - 1).sum::<usize>();
        let measured = Measured {
            config,
            options,
            data: fingerprint(self.dataset),
            metrics: judge(self.dataset, &self.cases, &ranked, self.seen, 1).metrics,
            ranks: ranked.ranks,
            seconds,
            events_per_s: seconds.map(|s| (events * trainer.state().epoch) as f64 / s),
            epochs: trainer.state().epoch,
            best_epoch: trainer.state().best_epoch,
            validation_ndcg10: trainer.state().best_ndcg10,
            parameters: trainer.model().params().count(),
            peak_device_bytes,
            adapter: gpu.info().to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            date: today(),
        };
        measured.write(&folder)?;
        Ok(measured)
    }

    fn resume(&self, gpu: &Gpu, model: &Path, config: &Config, options: &TrainOptions) -> Result<Trainer<'_>> {
        let checkpoint = Checkpoint::open_training(model)?;
        if (&checkpoint.config, &checkpoint.options) != (config, options) {
            return Err(Error::Config(format!(
                "{} was begun with other settings; remove it, rename the run, or choose another --out",
                model.display()
            )));
        }
        Trainer::resume(gpu, self.dataset, model, self.seen)
    }

    fn report(&self, plan: &Plan, measured: &[Vec<Measured>], args: &Args) -> Result<Report> {
        let only: String = args.only.iter().map(|name| format!(" --only {name:?}")).collect();
        let finished = if args.finished { " --finished" } else { "" };
        let command = format!("desirepath experiment {} --seeds {}{only}{finished}", args.file.display(), args.seeds);
        let report = Report::new(plan, measured, self.dataset, &self.cases, self.seen, command);
        report.write(&self.out)?;
        Ok(report)
    }
}
