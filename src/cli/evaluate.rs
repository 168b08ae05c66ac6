mod draw;

use super::{Common, SeenArg, today, write_in_place};
use desirepath::data::Dataset;
use desirepath::eval::baselines::Baselines;
use desirepath::eval::calibration::{self, Calibration};
use desirepath::eval::cold::{self, Cold};
use desirepath::eval::metrics::Metrics;
use desirepath::eval::{Case, Ranked, Seen, Split, cases, never_visited, rank};
use desirepath::model::{Config, Model};
use desirepath::train::{Checkpoint, TrainOptions};
use desirepath::{Error, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

/// Rank all items for each user's held-out event, and compare with what counting reaches.
///
/// Leave-one-out by time: the last event of each user is the test, the last but one the validation. Every item is
/// ranked, ties count against the model, and POP, Markov-1 and USERFREQ stand beside the result.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  desirepath evaluate .out/ml-100k .data/ml-100k
  desirepath evaluate .out/nyc .data/nyc --seen keep --json > nyc.json
  desirepath evaluate .out/ml-100k .data/ml-100k --cold --calibration reliability.svg")]
pub struct Args {
    /// Folder that `train` wrote
    model: PathBuf,
    /// Folder that `prepare` wrote
    dataset: PathBuf,
    #[arg(long, value_enum, default_value = "test")]
    split: SplitArg,
    /// Items the user had before: in the ranking or not [default: as in training]
    #[arg(long, value_enum)]
    seen: Option<SeenArg>,
    /// Seed of the bootstrap
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Hold the probability that an item is liked against the held-out ratings, and draw the curve into FILE.svg
    #[arg(long, value_name = "FILE.svg", num_args = 0..=1, value_parser = parse_svg)]
    calibration: Option<Option<PathBuf>>,
    /// Ask again with the newest 1, 2, 5 and 10 events of users that the model is not told; and for rare items
    #[arg(long)]
    cold: bool,
}

fn parse_svg(text: &str) -> std::result::Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().is_some_and(|e| e == "svg") {
        true => Ok(path),
        false => Err("expected a file that ends in .svg; the folders of model and dataset come first".into()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum SplitArg {
    Validation,
    Test,
}

/// The model's metrics at the top level, the baselines' by name, and how all of it was measured.
#[derive(Serialize)]
pub struct Evaluation {
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Cases whose target the user never had before, where repeats are ranked at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub never_visited: Option<Metrics>,
    pub baselines: BTreeMap<String, Metrics>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub baselines_never_visited: BTreeMap<String, Metrics>,
    /// Where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cold: Option<Cold>,
    pub split: Split,
    pub seen: Seen,
    /// Whether the model was trained on these very events: on others, a held-out event may be one that it learned from.
    pub same_data: bool,
    /// Whether the model was told the time of the event that it predicts.
    pub request_time: bool,
    pub adapter: String,
    pub version: &'static str,
    pub date: String,
    /// The command line of this evaluation.
    pub command: String,
    /// How the model was built and trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Config>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<TrainOptions>,
    pub seconds: f64,
    pub cases_per_s: f64,
}

pub fn run(args: &Args, common: &Common) -> Result<()> {
    let dataset = Dataset::load(&args.dataset)?;
    let checkpoint = Checkpoint::open(&args.model)?;
    let data = checkpoint.data()?;
    if data.items != dataset.items || data.users != dataset.users {
        return Err(Error::format(
            &args.model,
            format!("it was trained on other users or items than {}", args.dataset.display()),
        ));
    }
    let same_data = checkpoint.is_of(&dataset);
    if !same_data {
        eprintln!(
            "trained on other events than these: what is asked for here may have been learned or chosen by there"
        );
    }
    let liked = args.calibration.as_ref().map(|_| liked(args, &checkpoint, &dataset, &data)).transpose()?;
    let gpu = common.gpu()?;
    let model = checkpoint.load(&gpu, &data)?;
    let split = match args.split {
        SplitArg::Validation => Split::Validation,
        SplitArg::Test => Split::Test,
    };
    let cases = cases(&dataset, split);
    if cases.is_empty() {
        return Err(Error::format(&args.dataset, "no user has the three events that an evaluation needs"));
    }
    let seen = args.seen.map_or(checkpoint.seen, |s| s.resolve(&dataset));
    let bar = common.bar(cases.len(), "ranking {bar:24} {pos}/{len} users, {eta} to go");
    let started = Instant::now();
    let ranked = rank(&model, &dataset, &cases, seen, true, &mut |done| bar.set_position(done as u64))?;
    let seconds = started.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let mut evaluation = judge(&dataset, &cases, &ranked, seen, args.seed);
    evaluation.split = split;
    evaluation.same_data = same_data;
    evaluation.request_time = model.config().request_time;
    evaluation.adapter = gpu.info().to_string();
    evaluation.model = Some(checkpoint.config.clone());
    evaluation.train = Some(checkpoint.options.clone());
    evaluation.seconds = seconds;
    evaluation.cases_per_s = cases.len() as f64 / seconds;
    if args.cold {
        let bar = common.bar(cases.len() * cold::EVENTS.len(), "asking as new users {bar:24} {pos}/{len}, {eta} to go");
        let watch = &mut |done| bar.set_position(done as u64);
        evaluation.cold = Some(Cold::of(&model, &dataset, &cases, &ranked.ranks, seen, args.seed, watch)?);
        bar.finish_and_clear();
    }
    if let Some(liked) = liked {
        evaluation.calibration = Some(calibrate(args, common, &model, &dataset, &cases, liked)?);
    }
    // Printed before it is drawn: where the picture cannot be written, nothing is lost.
    common.print(&evaluation, &evaluation)?;
    match (&evaluation.calibration, &args.calibration) {
        (Some(calibration), Some(Some(path))) => {
            write_in_place(path, &draw::svg(calibration, &format!("{}, {}", evaluation.adapter, evaluation.date))?)
        }
        _ => Ok(()),
    }
}

/// From which rating on an event counts as liked, and the share of training events that were: known before anything is
/// asked of the device.
fn liked(args: &Args, checkpoint: &Checkpoint, dataset: &Dataset, data: &Dataset) -> Result<(f32, f64)> {
    let mend = "prepare the log with its ratings (--rating-column) and train on that, or leave --calibration out";
    if checkpoint.config.output_weight == 0.0 {
        let message = "it was trained without the sigmoid output; train it again with output_weight=0.1";
        return Err(Error::format(&args.model, message));
    }
    // A model keeps the newest events alone, where not all that it learned from; those that it was trained on say more.
    let learned = if checkpoint.is_of(dataset) { dataset } else { data };
    let Some(like) = checkpoint.options.like_from(learned) else {
        let message = "it was trained without ratings, or all were the same: its probability then says that an item comes \
                       next, not that it is liked, and ratings cannot say whether that is so";
        return Err(Error::format(&args.model, format!("{message}; {mend}")));
    };
    match calibration::liked_share(dataset, like) {
        Some(share) => Ok((like, share)),
        None => {
            Err(Error::format(&args.dataset, format!("there are no ratings to hold the probability against; {mend}")))
        }
    }
}

fn calibrate(
    args: &Args,
    common: &Common,
    model: &Model,
    dataset: &Dataset,
    cases: &[Case],
    (like, share): (f32, f64),
) -> Result<Calibration> {
    let bar = common.bar(cases.len(), "asking for probabilities {bar:24} {pos}/{len}, {eta} to go");
    let said = calibration::said(model, dataset, cases, like, &mut |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    let none = || Error::format(&args.dataset, "no held-out event has a rating: there is nothing to hold against");
    Calibration::of(&said, like, share).ok_or_else(none)
}

/// Metrics of a ranking, with the baselines on the same cases.
pub fn judge(dataset: &Dataset, cases: &[Case], ranked: &Ranked, seen: Seen, seed: u64) -> Evaluation {
    let counters = Baselines::new(dataset);
    let fresh = never_visited(dataset, cases);
    let of = |ranked: &Ranked| Metrics::of(ranked, counters.counts(), seed);
    let mut evaluation = Evaluation {
        metrics: of(ranked),
        never_visited: (seen == Seen::Keep).then(|| of(&ranked.select(&fresh))),
        baselines: BTreeMap::new(),
        baselines_never_visited: BTreeMap::new(),
        calibration: None,
        cold: None,
        split: Split::Test,
        seen,
        same_data: true,
        request_time: false,
        adapter: String::new(),
        version: env!("CARGO_PKG_VERSION"),
        date: today(),
        command: std::env::args().skip(1).fold("desirepath".into(), |line, word| line + " " + &word),
        model: None,
        train: None,
        seconds: 0.0,
        cases_per_s: 0.0,
    };
    for (name, ranked) in counters.all(cases, seen) {
        let key = name.split('-').next().unwrap_or(name).to_lowercase();
        if seen == Seen::Keep {
            evaluation.baselines_never_visited.insert(key.clone(), of(&ranked.select(&fresh)));
        }
        evaluation.baselines.insert(key, of(&ranked));
    }
    evaluation
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.metrics)?;
        let row = |f: &mut fmt::Formatter<'_>, name: &str, all: &Metrics, fresh: Option<&Metrics>| {
            let value = |m: &Metrics, key: &str| m.get(key).unwrap_or(f64::NAN);
            write!(f, "{name:<12}")?;
            for key in ["hr@1", "hr@5", "hr@10", "ndcg@10"] {
                write!(f, "{:>9.4}", value(all, key))?;
            }
            match fresh {
                Some(fresh) => writeln!(f, "{:>15.4}{:>13.4}", value(fresh, "hr@10"), value(fresh, "ndcg@10")),
                None => writeln!(f),
            }
        };
        write!(f, "{:<12}{:>9}{:>9}{:>9}{:>9}", "", "hr@1", "hr@5", "hr@10", "ndcg@10")?;
        match &self.never_visited {
            Some(m) => writeln!(f, "   hr@10 / ndcg@10 on {} never visited", m.cases)?,
            None => writeln!(f)?,
        }
        row(f, "model", &self.metrics, self.never_visited.as_ref())?;
        for (name, metrics) in &self.baselines {
            row(f, name, metrics, self.baselines_never_visited.get(name))?;
        }
        let split = if self.split == Split::Test { "test" } else { "validation" };
        let seen = if self.seen == Seen::Filter { "removed from" } else { "kept in" };
        let time = if self.request_time { "known" } else { "not known" };
        writeln!(
            f,
            "\n{split} split, all items ranked, items seen before {seen} the ranking, time of the request {time};"
        )?;
        writeln!(f, "{:.0} users/s on {}", self.cases_per_s, self.adapter)?;
        if let Some(calibration) = &self.calibration {
            write!(f, "\n{calibration}")?;
        }
        if let Some(cold) = &self.cold {
            write!(f, "\n{cold}")?;
        }
        Ok(())
    }
}
