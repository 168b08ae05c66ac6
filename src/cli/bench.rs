mod ceilings;
mod measure;
mod steps;
mod table;
mod work;

use super::Common;
use ceilings::Ceilings;
use desirepath::model::PRESETS;
use desirepath::{Error, Gpu, Result, check};
use indicatif::ProgressBar;
use measure::{Repeat, Time};
use serde::Serialize;
use work::{CASES, Case, Cost};

/// Measure what this adapter can do at most, and how close each op and a training step of each preset come to it.
///
/// Every op is compared with its definition before it is timed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  desirepath bench
  desirepath bench --filter gru
  desirepath bench --filter gemm-1024,top10
  desirepath bench --quick --json")]
pub struct Args {
    /// Only cases whose name contains this, or one of these, separated by commas
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Fewer repetitions, and no case of more than two seconds
    #[arg(long)]
    quick: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    case: String,
    pass: &'static str,
    /// Kernels alone where there are timestamps; of a training step, all of it as the host sees it.
    ms: f64,
    /// As the host sees it: with recording, submitting and waiting.
    host_ms: f64,
    /// Kernels alone, without what lies between them; `None` without timestamps.
    device_ms: Option<f64>,
    gflops: f64,
    gbps: Option<f64>,
    /// Of the ceiling that bounds it.
    percent: f64,
    bound: &'static str,
    /// The kernel that took the most time.
    variant: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dispatches: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_bytes: Option<u64>,
    /// Most memory in use at once beyond what was held before: outputs, gradients and scratch, not inputs.
    extra_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Results {
    adapter: String,
    driver: String,
    timestamps: bool,
    ceilings: Ceilings,
    cases: Vec<Row>,
    /// Cases that `--quick` left out.
    skipped: Vec<String>,
}

/// What `--quick` leaves out.
const QUICK_SECONDS: f64 = 2.0;

pub fn run(args: &Args, common: &Common) -> Result<()> {
    let wanted = |name: &str| args.filter.split(',').any(|part| name.contains(part.trim()));
    let cases: Vec<&Case> = CASES.iter().filter(|c| wanted(c.name)).collect();
    let presets: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).filter(|p| wanted(&steps::name(p))).collect();
    if cases.is_empty() && presets.is_empty() {
        let names: Vec<_> = CASES.iter().map(|c| c.name).collect();
        return Err(Error::Config(format!("no case contains {:?}; there are: {}", args.filter, names.join(", "))));
    }
    let gpu = common.gpu()?;
    let bar = common.bar(cases.len() + presets.len() + 1, "{bar:24} {pos}/{len} {msg}");
    bar.set_message("ceilings");
    let ceilings = Ceilings::measure(&gpu)?;
    bar.inc(1);
    let info = gpu.info();
    let mut bench = Bench {
        results: Results {
            adapter: info.to_string(),
            driver: info.driver.clone(),
            timestamps: info.timestamps,
            ceilings,
            cases: Vec::new(),
            skipped: Vec::new(),
        },
        quick: args.quick,
        gpu: gpu.clone(),
        bar,
    };
    bench.ops(&cases)?;
    bench.steps(&presets)?;
    bench.bar.finish_and_clear();
    let text = table::text(&bench.results);
    common.print(&bench.results, text)
}

struct Bench {
    gpu: Gpu,
    quick: bool,
    bar: ProgressBar,
    results: Results,
}

impl Bench {
    fn ops(&mut self, cases: &[&Case]) -> Result<()> {
        let mut verified = "";
        for case in cases {
            self.bar.set_message(case.name);
            if verified != case.op {
                verify(&self.gpu, case.op)?;
                verified = case.op;
            }
            self.op(case)?;
            self.bar.inc(1);
        }
        Ok(())
    }

    fn op(&mut self, case: &Case) -> Result<()> {
        let work = (case.make)(&self.gpu);
        self.gpu.sync()?;
        self.pass(case.name, "forward", work.forward, &mut || work.run_forward())?;
        if work.has_gradient() {
            self.pass(case.name, "forward+backward", work.both, &mut || work.run_both())?;
        }
        drop(work);
        self.gpu.trim() // the next case is as large as memory allows
    }

    fn pass(&mut self, name: &str, pass: &'static str, cost: Cost, run: &mut dyn FnMut()) -> Result<()> {
        let held = self.gpu.memory().live;
        self.gpu.reset_peak();
        let Some(time) = self.time(name, pass, cost, run)? else { return Ok(()) };
        let row = self.row(name.into(), pass, time.of_kernels(), &time, cost);
        self.results.cases.push(Row { extra_bytes: self.gpu.memory().peak - held, ..row });
        Ok(())
    }

    /// `None` where it would take too long for a quick look.
    fn time(&mut self, name: &str, pass: &str, cost: Cost, run: &mut dyn FnMut()) -> Result<Option<Time>> {
        // Few kernels come nearer to a ceiling than a third of it.
        let expected = 3.0 * self.results.ceilings.floor(cost.flops, cost.bytes);
        if self.quick && expected > QUICK_SECONDS {
            self.results.skipped.push(format!("{name} {pass}"));
            return Ok(None);
        }
        measure::time(&self.gpu, self.repeat(), run).map(Some)
    }

    fn repeat(&self) -> Repeat {
        match self.quick {
            true => Repeat { fewest: 3, most: 3, seconds: 0.0 },
            false => Repeat { fewest: 5, most: 25, seconds: 1.0 },
        }
    }

    fn row(&self, case: String, pass: &'static str, seconds: f64, time: &Time, cost: Cost) -> Row {
        let ceilings = &self.results.ceilings;
        Row {
            case,
            pass,
            ms: 1e3 * seconds,
            host_ms: 1e3 * time.host,
            device_ms: time.device.map(|s| 1e3 * s),
            gflops: cost.flops / seconds * 1e-9,
            gbps: (cost.bytes > 0.0).then_some(cost.bytes / seconds * 1e-9),
            percent: 100.0 * ceilings.floor(cost.flops, cost.bytes) / seconds,
            bound: ceilings.bound(cost.flops, cost.bytes),
            variant: time.kernel,
            dispatches: None,
            peak_bytes: None,
            extra_bytes: 0,
        }
    }

    fn steps(&mut self, presets: &[&str]) -> Result<()> {
        for preset in presets {
            let name = steps::name(preset);
            self.bar.set_message(name.clone());
            let step = steps::measure(&self.gpu, preset, self.repeat())?;
            let cost = Cost { flops: step.flops, bytes: 0.0 };
            let row = self.row(name, "step", step.time.host, &step.time, cost);
            self.results.cases.push(Row {
                dispatches: Some(step.dispatches),
                peak_bytes: Some(step.peak_bytes),
                extra_bytes: step.extra_bytes,
                ..row
            });
            self.gpu.trim()?;
            self.bar.inc(1);
        }
        Ok(())
    }
}

/// No number for a kernel that is wrong.
fn verify(gpu: &Gpu, op: &str) -> Result<()> {
    let (_, check) = check::ALL.iter().find(|(name, _)| *name == op).expect("every case is of an op that has a check");
    match check(gpu)?.iter().find(|r| !r.ok()) {
        None => Ok(()),
        Some(wrong) => Err(Error::Gpu(format!("{wrong}; not timed: run `desirepath doctor`"))),
    }
}
