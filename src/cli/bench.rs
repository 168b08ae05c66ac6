mod ceilings;
mod growth;
mod measure;
mod request;
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
use std::path::PathBuf;
use steps::Size;
use work::{CASES, Case, Cost};

/// Measure what this adapter can do at most, and how close each op and a training step of each preset come to it.
///
/// Every op is compared with its definition before it is timed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  desirepath bench
  desirepath bench --filter gru
  desirepath bench --filter gemm-1024,top10
  desirepath bench --quick --json
  desirepath bench --growth growth   # how time and memory grow with length, items, batch and width, drawn")]
pub struct Args {
    /// Only cases whose name contains this, or one of these, separated by commas
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Fewer repetitions, and no case of more than two seconds
    #[arg(long)]
    quick: bool,
    /// With cases that are work for a GPU, on a software adapter, too (there, without this, only if --filter names one)
    #[arg(long)]
    large: bool,
    /// Instead: how a training step and scoring grow, each size for about a second; draws growth-*.svg and writes
    /// growth.json into this folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["filter", "quick", "large"])]
    growth: Option<PathBuf>,
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
    /// Of the buffers of all its dispatches: what they move if each reads or writes its buffers once.
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_bytes: Option<u64>,
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

/// What is to be measured.
struct Plan {
    cases: Vec<&'static Case>,
    steps: Vec<(&'static str, Size)>,
    requests: Vec<usize>,
}

impl Plan {
    /// Whose name holds a part of the filter; what is work for a GPU has to be asked for where there is none.
    fn new(args: &Args, software: bool) -> Plan {
        let parts = || args.filter.split(',').map(str::trim);
        let wanted = |name: &str, large: bool| match large && software && !args.large {
            true => parts().any(|part| part == name),
            false => parts().any(|part| name.contains(part)),
        };
        let steps = PRESETS.iter().map(|(name, _)| (*name, steps::USUAL)).chain([("sasrec", steps::LARGE)]);
        Plan {
            cases: CASES.iter().filter(|c| wanted(c.name, c.large)).collect(),
            steps: steps.filter(|(p, size)| wanted(&steps::name(p, *size), *size == steps::LARGE)).collect(),
            requests: request::ITEMS.into_iter().filter(|n| wanted(&request::name(*n), false)).collect(),
        }
    }

    fn len(&self) -> usize {
        self.cases.len() + self.steps.len() + self.requests.len()
    }
}

pub fn run(args: &Args, common: &Common) -> Result<()> {
    if let Some(folder) = &args.growth {
        return growth::run(folder, common);
    }
    let gpu = common.gpu()?;
    let plan = Plan::new(args, gpu.info().software);
    if plan.len() == 0 {
        let names: Vec<_> = CASES.iter().map(|c| c.name).collect();
        let steps: Vec<_> = PRESETS.iter().map(|(name, _)| steps::name(name, steps::USUAL)).collect();
        let requests = request::ITEMS.map(request::name);
        let names = [names.join(", "), steps.join(", "), requests.join(", ")].join(", ");
        return Err(Error::Config(format!("no case contains {:?}; there are: {names}", args.filter)));
    }
    let bar = common.bar(plan.len() + 1, "{bar:24} {pos}/{len} {msg}  {elapsed} gone, about {eta} to go");
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
    bench.ops(&plan.cases)?;
    bench.steps(&plan.steps)?;
    bench.requests(&plan.requests)?;
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
            bound_bytes: None,
            peak_bytes: None,
            extra_bytes: 0,
        }
    }

    fn steps(&mut self, steps: &[(&str, Size)]) -> Result<()> {
        for (preset, size) in steps {
            let name = steps::name(preset, *size);
            self.bar.set_message(name.clone());
            let step = steps::measure(&self.gpu, preset, *size, self.repeat())?;
            let cost = Cost { flops: step.flops, bytes: 0.0 };
            let row = self.row(name, "step", step.time.host, &step.time, cost);
            self.results.cases.push(Row {
                dispatches: Some(step.dispatches),
                bound_bytes: Some(step.bound_bytes),
                peak_bytes: Some(step.peak_bytes),
                extra_bytes: step.extra_bytes,
                ..row
            });
            self.gpu.trim()?;
            self.bar.inc(1);
        }
        Ok(())
    }

    fn requests(&mut self, sizes: &[usize]) -> Result<()> {
        for items in sizes {
            let name = request::name(*items);
            self.bar.set_message(name.clone());
            let request = request::Request::new(&self.gpu, *items)?;
            let (dispatches, held) = (self.gpu.dispatches(), self.gpu.memory().live);
            request.answer()?;
            let dispatches = self.gpu.dispatches() - dispatches;
            self.gpu.reset_peak();
            let mut failed = Ok(());
            let mut run = || failed = request.answer();
            let time = measure::time(&self.gpu, self.repeat(), &mut run)?;
            failed?;
            let row = self.row(name, "forward", time.host, &time, request.cost());
            let extra_bytes = self.gpu.memory().peak - held;
            self.results.cases.push(Row { dispatches: Some(dispatches), extra_bytes, ..row });
            drop(request);
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
