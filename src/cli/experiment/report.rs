//! What a training gave, and the table over all of them.

use super::plan::{Plan, Source};
use crate::cli::write_in_place;
use desirepath::data::Dataset;
use desirepath::eval::baselines::Baselines;
use desirepath::eval::metrics::{Measure, Metrics, Paired, bootstrap, paired_values};
use desirepath::eval::{Case, Seen};
use desirepath::model::Config;
use desirepath::train::{TrainOptions, fingerprint};
use desirepath::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

const RESULT: &str = "result.json";

/// One training of one configuration with one seed, judged on the test cases.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    pub config: Config,
    pub options: TrainOptions,
    /// Of the dataset.
    pub data: String,
    pub metrics: Metrics,
    /// Of each case.
    pub ranks: Vec<u32>,
    /// Of the training, validation included; unknown where it was stopped in between.
    pub seconds: Option<f64>,
    pub events_per_s: Option<f64>,
    pub epochs: usize,
    pub best_epoch: usize,
    pub validation_ndcg10: f64,
    pub parameters: usize,
    /// While training; unknown where that was stopped in between.
    pub peak_device_bytes: Option<u64>,
    pub adapter: String,
    pub version: String,
    pub date: String,
}

impl Measured {
    /// What an earlier time left in the folder of a run, if it came to an end.
    pub fn read(folder: &Path) -> Result<Option<Measured>> {
        let path = folder.join(RESULT);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::file(&path, &e)),
        };
        let read = serde_json::from_str(&text);
        read.map(Some).map_err(|e| Error::format(&path, format!("{e}; remove it to train again")))
    }

    /// In one line: most of it are the ranks of all cases.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string(self).map_err(|e| Error::Config(e.to_string()))?;
        write_in_place(&folder.join(RESULT), &(text + "\n"))
    }

    /// # Errors
    /// When it was made with other settings or from other data.
    pub fn expect(&self, config: &Config, options: &TrainOptions, dataset: &Dataset, folder: &Path) -> Result<()> {
        let mend = "remove it, rename the run, or choose another --out";
        if (&self.config, &self.options) != (config, options) {
            return Err(Error::format(folder, format!("made with other settings; {mend}")));
        }
        match self.data == fingerprint(dataset) {
            true => Ok(()),
            false => Err(Error::format(folder, format!("made from other data; {mend}"))),
        }
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|e| Error::Config(e.to_string()))
}

/// A mean over seeds and cases. The interval is over cases (bootstrap of each case's mean over the seeds); `seeds` are the
/// single means.
#[derive(Debug, Serialize)]
struct Value {
    mean: f64,
    ci95: [f64; 2],
    seeds: Vec<f64>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    says: String,
    /// By key: `hr@10` and the like.
    values: BTreeMap<String, Value>,
    /// To the baseline, over the cases, each its mean over the seeds that both have; none for the baseline itself.
    difference: BTreeMap<String, Paired>,
    seeds: usize,
    seconds: Option<f64>,
    events_per_s: Option<f64>,
    epochs: Vec<usize>,
    parameters: usize,
    peak_device_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
pub struct Report {
    command: String,
    data: String,
    cases: usize,
    seen: Seen,
    adapter: String,
    version: String,
    date: String,
    baseline: String,
    rows: Vec<Row>,
    /// What counting reaches.
    counters: BTreeMap<String, Metrics>,
}

const MEASURES: [Measure; 4] = [Measure::Hr(1), Measure::Hr(5), Measure::Hr(10), Measure::Ndcg(10)];
const COMPARED: [Measure; 2] = [Measure::Hr(10), Measure::Ndcg(10)];

impl Report {
    /// Of what has been measured so far; runs without any seed are left out.
    pub fn new(
        plan: &Plan,
        measured: &[Vec<Measured>],
        dataset: &Dataset,
        cases: &[Case],
        seen: Seen,
        command: String,
    ) -> Report {
        let baseline = &measured[plan.baseline];
        let row = |(i, run): (usize, &super::Run)| row(run, &measured[i], (i != plan.baseline).then_some(baseline));
        let rows = plan.runs.iter().enumerate().filter(|(i, _)| !measured[*i].is_empty()).map(row).collect();
        let counters = Baselines::new(dataset);
        let of = |(name, ranked): (&str, _)| (name.to_string(), Metrics::of(&ranked, counters.counts(), 1));
        let said = |of: fn(&Measured) -> &String| {
            let all: BTreeSet<&str> = measured.iter().flatten().map(|m| of(m).as_str()).collect();
            all.into_iter().collect::<Vec<_>>().join(", ")
        };
        Report {
            command,
            data: match &plan.source {
                Source::Folder(folder) => folder.display().to_string(),
                Source::City(o) => {
                    format!("a generated city of {} people and {} places, seed {}", o.users, o.places, o.seed)
                }
            },
            cases: cases.len(),
            seen,
            adapter: said(|m| &m.adapter),
            version: said(|m| &m.version),
            date: said(|m| &m.date),
            baseline: plan.runs[plan.baseline].name.clone(),
            rows,
            counters: counters.all(cases, seen).into_iter().map(of).collect(),
        }
    }

    pub fn write(&self, out: &Path) -> Result<()> {
        write_in_place(&out.join("report.json"), &json(self)?)?;
        write_in_place(&out.join("report.md"), &self.markdown())
    }

    /// What stands in the columns of differences.
    fn compared(&self) -> String {
        match self.rows.iter().any(|row| row.name == self.baseline) {
            true => format!("Δ is the paired difference to {} with its p (sign flips)", self.baseline),
            false => format!("Δ is empty: {}, which the others are compared with, is not trained yet", self.baseline),
        }
    }

    pub fn markdown(&self) -> String {
        let mut text = format!("Data: {}, {} test cases. Command: `{}`.\n", self.data, self.cases, self.command);
        let seen = if self.seen == Seen::Filter { "removed from" } else { "kept in" };
        let _ = writeln!(
            text,
            "All items ranked, ties against the model, items seen before {seen} the ranking; means over the seeds, \
             95 % bootstrap\nover users in brackets; {}. {}, desirepath {}, {}.\n",
            self.compared(),
            self.adapter,
            self.version,
            self.date
        );
        text += "| run | settings | seeds | HR@1 | HR@5 | HR@10 | NDCG@10 | Δ HR@10 | Δ NDCG@10 | training | events/s | parameters | device memory |\n";
        text += "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
        for row in &self.rows {
            let _ = writeln!(text, "{}", row.markdown());
        }
        for (name, metrics) in &self.counters {
            let value = |key: &str| metrics.get(key).map_or("–".into(), |v| decimals(v, false));
            let _ = writeln!(
                text,
                "| {name} | counting | | {} | {} | {} | {} | | | | | | |",
                value("hr@1"),
                value("hr@5"),
                value("hr@10"),
                value("ndcg@10")
            );
        }
        text
    }
}

fn row(run: &super::Run, measured: &[Measured], baseline: Option<&Vec<Measured>>) -> Row {
    let value = |measure: Measure| {
        let worth = worth(measure, measured);
        let mean = worth.iter().sum::<f64>() / worth.len() as f64;
        let seeds = measured.iter().map(|m| measure.mean(&m.ranks)).collect();
        (measure.to_string(), Value { mean, ci95: bootstrap(&worth, 1), seeds })
    };
    let difference = |measure: Measure| {
        let other = baseline.filter(|b| !b.is_empty())?;
        let both = measured.len().min(other.len());
        let (a, b) = (worth(measure, &measured[..both]), worth(measure, &other[..both]));
        Some((measure.to_string(), paired_values(&a, &b, 1)))
    };
    let mean = |of: fn(&Measured) -> Option<f64>| {
        let known: Vec<f64> = measured.iter().filter_map(of).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    Row {
        name: run.name.clone(),
        says: run.says.clone(),
        values: MEASURES.into_iter().map(value).collect(),
        difference: COMPARED.into_iter().filter_map(difference).collect(),
        seeds: measured.len(),
        seconds: mean(|m| m.seconds),
        events_per_s: mean(|m| m.events_per_s),
        epochs: measured.iter().map(|m| m.epochs).collect(),
        parameters: measured[0].parameters,
        peak_device_bytes: measured.iter().filter_map(|m| m.peak_device_bytes).max(),
    }
}

/// Of each case, its mean over the seeds.
fn worth(measure: Measure, measured: &[Measured]) -> Vec<f64> {
    let of_case = |case: usize| measured.iter().map(|m| measure.of(m.ranks[case])).sum::<f64>();
    (0..measured[0].ranks.len()).map(|case| of_case(case) / measured.len() as f64).collect()
}

/// `.318`, `+.012`.
fn decimals(v: f64, signed: bool) -> String {
    let digits = format!("{:.4}", v.abs());
    let digits = digits.strip_prefix('0').unwrap_or(&digits).to_string();
    match (signed, v < 0.0) {
        (_, true) => format!("−{digits}"),
        (true, false) => format!("+{digits}"),
        (false, false) => digits,
    }
}

impl Row {
    fn markdown(&self) -> String {
        let value = |key: &str| {
            let Value { mean, ci95: [low, high], .. } = &self.values[key];
            format!("{} [{}, {}]", decimals(*mean, false), decimals(*low, false), decimals(*high, false))
        };
        let plain = |key: &str| decimals(self.values[key].mean, false);
        let delta = |key: &str| match self.difference.get(key) {
            None => String::new(),
            Some(Paired { difference, ci95: [low, high], p }) => {
                let [d, low, high] = [*difference, *low, *high].map(|v| decimals(v, true));
                format!("{d} [{low}, {high}], p {p:.4}")
            }
        };
        let or_dash = |v: Option<String>| v.unwrap_or_else(|| "–".into());
        [
            format!("| {}", self.name),
            self.says.clone(),
            self.seeds.to_string(),
            plain("hr@1"),
            plain("hr@5"),
            value("hr@10"),
            value("ndcg@10"),
            delta("hr@10"),
            delta("ndcg@10"),
            or_dash(self.seconds.map(|s| format!("{s:.0} s"))),
            or_dash(self.events_per_s.map(|v| format!("{v:.0}"))),
            self.parameters.to_string(),
            or_dash(self.peak_device_bytes.map(|b| format!("{:.0} MiB", b as f64 / f64::from(1 << 20)))) + " |",
        ]
        .join(" | ")
    }
}
