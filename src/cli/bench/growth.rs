//! How time and memory grow: with the length of histories, the number of items, the batch, the width, and for scoring the
//! number of items alone.

mod draw;

use super::measure::{self, Repeat};
use super::steps::{self, Size};
use super::work::random;
use crate::cli::{Common, today};
use desirepath::{Error, Gpu, Result, Tape, ops};
use serde::Serialize;
use std::path::Path;

/// No size is tried that would take longer than this, in seconds, if time grew with it.
const LONGEST: f64 = 15.0;
const PRESETS: [&str; 3] = ["desirepath", "sasrec", "gru4rec"];
const BASE: Size = Size { batch: 32, len: 50, dim: 64, items: 3417 };

/// One of the charts: what grows, and what is done.
struct Axis {
    slug: &'static str,
    /// Label of the axis.
    what: &'static str,
    sizes: &'static [usize],
    at: fn(usize) -> Size,
}

const STEPS: [Axis; 4] = [
    Axis {
        slug: "length",
        what: "events of a history",
        sizes: &[50, 100, 200, 500, 1000, 2000],
        at: |len| Size { batch: 8, len, ..BASE },
    },
    Axis {
        slug: "items",
        what: "items",
        sizes: &[1000, 10_000, 100_000, 1_000_000],
        at: |items| Size { batch: 8, items, ..BASE },
    },
    Axis { slug: "batch", what: "histories of a step", sizes: &[8, 32, 128, 512], at: |batch| Size { batch, ..BASE } },
    Axis { slug: "dim", what: "width of vectors", sizes: &[16, 32, 64, 128], at: |dim| Size { dim, ..BASE } },
];

const SCORED: &[usize] = &[1000, 10_000, 100_000, 1_000_000, 10_000_000];
const QUERIES: [usize; 2] = [1, 16];

#[derive(Debug, Serialize)]
struct Point {
    at: usize,
    /// Median, as the host sees it.
    ms: f64,
    /// Most memory in use at once beyond parameters, their moments and what else stays; for scoring, beyond the table.
    extra_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Line {
    name: String,
    points: Vec<Point>,
    /// Why it ends early.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends: Option<String>,
}

#[derive(Debug, Serialize)]
struct Chart {
    slug: &'static str,
    title: String,
    axis: &'static str,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Growth {
    adapter: String,
    driver: String,
    date: String,
    charts: Vec<Chart>,
}

pub fn run(folder: &Path, common: &Common) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, &e))?;
    let gpu = common.gpu()?;
    let total = STEPS.iter().map(|axis| axis.sizes.len() * PRESETS.len()).sum::<usize>() + SCORED.len() * QUERIES.len();
    let bar = common.bar(total, "{bar:24} {pos}/{len} {msg}  {elapsed} gone, about {eta} to go");
    let done = |message: String| {
        bar.set_message(message);
        bar.inc(1);
    };
    let info = gpu.info();
    let mut growth =
        Growth { adapter: info.to_string(), driver: info.driver.clone(), date: today(), charts: Vec::new() };
    // The quickest first; each chart is drawn when it is measured.
    for axis in [None].into_iter().chain(STEPS.iter().rev().map(Some)) {
        let chart = match axis {
            None => scoring(&gpu, &done)?,
            Some(axis) => training(&gpu, axis, &done)?,
        };
        let path = folder.join(format!("growth-{}.svg", chart.slug));
        let drawn = draw::svg(&chart, &format!("{}, {}", growth.adapter, growth.date))?;
        std::fs::write(&path, drawn).map_err(|e| Error::file(&path, &e))?;
        growth.charts.push(chart);
    }
    bar.finish_and_clear();
    let path = folder.join("growth.json");
    let json = serde_json::to_string_pretty(&growth).map_err(|e| Error::Config(e.to_string()))?;
    std::fs::write(&path, json + "\n").map_err(|e| Error::file(&path, &e))?;
    common.print(&growth, text(&growth))
}

/// Few repetitions of what is long.
const REPEAT: Repeat = Repeat { fewest: 1, most: 9, seconds: 1.0 };

fn training(gpu: &Gpu, axis: &Axis, done: &dyn Fn(String)) -> Result<Chart> {
    let mut lines = Vec::new();
    for preset in PRESETS {
        lines.push(line(preset.into(), axis.sizes, &mut |at| {
            let size = (axis.at)(at);
            let step = steps::measure(gpu, preset, size, REPEAT);
            gpu.trim()?;
            done(steps::name(preset, size));
            step.map(|step| Point { at, ms: 1e3 * step.time.host, extra_bytes: step.extra_bytes })
        })?);
    }
    let Size { batch, len, dim, items } = (axis.at)(0);
    let fixed = [("batch", batch), ("length", len), ("width", dim), ("items", items)];
    let fixed: Vec<String> = fixed.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{name} {n}")).collect();
    let title = format!("A training step ({})", fixed.join(", "));
    Ok(Chart { slug: axis.slug, title, axis: axis.what, lines })
}

fn scoring(gpu: &Gpu, done: &dyn Fn(String)) -> Result<Chart> {
    let mut lines = Vec::new();
    for queries in QUERIES {
        let name = format!("{queries} {}", if queries == 1 { "query" } else { "queries" });
        lines.push(line(name.clone(), SCORED, &mut |at| {
            let point = top10(gpu, queries, at);
            gpu.trim()?;
            done(format!("top 10 of {at}, {name}"));
            point
        })?);
    }
    Ok(Chart { slug: "scoring", title: "The ten best items (width 64)".into(), axis: "items", lines })
}

fn top10(gpu: &Gpu, queries: usize, items: usize) -> Result<Point> {
    // A product of random matrices is random enough, and made where it is needed.
    let table = ops::matmul(&mut Tape::off(), &random(gpu, &[items, 8]), &random(gpu, &[8, 64]));
    let x = random(gpu, &[queries, 64]);
    gpu.sync()?;
    let held = gpu.memory().live;
    gpu.reset_peak();
    let mut run = || drop(ops::top_k(gpu, &x, &table, None, None, 10, 0));
    let time = measure::time(gpu, REPEAT, &mut run)?;
    Ok(Point { at: items, ms: 1e3 * time.host, extra_bytes: gpu.memory().peak - held })
}

/// Sizes in turn, until one takes too long or does not fit.
fn line(name: String, sizes: &[usize], measure: &mut dyn FnMut(usize) -> Result<Point>) -> Result<Line> {
    let mut line = Line { name, points: Vec::new(), ends: None };
    for size in sizes {
        let expected = |p: &Point| 1e-3 * p.ms * *size as f64 / p.at as f64;
        if let Some(seconds) = line.points.last().map(expected).filter(|s| *s > LONGEST) {
            line.ends = Some(format!("no {size}: by the size before it would take {seconds:.0} s"));
            break;
        }
        match measure(*size) {
            Ok(point) => line.points.push(point),
            Err(Error::OutOfMemory(why)) => {
                line.ends = Some(format!("no {size}: {why}"));
                break;
            }
            Err(other) => return Err(other),
        }
    }
    Ok(line)
}

fn text(growth: &Growth) -> String {
    let mut text = format!("{}, driver {}, {}\n", growth.adapter, growth.driver, growth.date);
    for chart in &growth.charts {
        text += &format!("\n{} by {}\n", chart.title, chart.axis);
        for line in &chart.lines {
            text += &format!("  {}\n", line.name);
            for p in &line.points {
                let mib = p.extra_bytes as f64 / f64::from(1 << 20);
                text += &format!("    {:>10}  {:>10.1} ms  {mib:>9.1} MiB\n", p.at, p.ms);
            }
            if let Some(why) = &line.ends {
                text += &format!("    {why}\n");
            }
        }
    }
    text
}
