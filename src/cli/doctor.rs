use super::Common;
use desirepath::check::{self, Report};
use desirepath::gpu::{AdapterInfo, adapters};
use desirepath::{Error, Gpu, Result, ops};
use serde_json::{Value, json};
use std::fmt::Write;

/// Show the adapters of this machine and run every op against its definition on one of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  desirepath doctor
  desirepath doctor --adapter 1 --json")]
pub struct Args {
    /// List the adapters and stop
    #[arg(long)]
    list: bool,
}

pub fn run(args: &Args, common: &Common) -> Result<()> {
    let list = pollster::block_on(adapters());
    let mut text = String::from("adapters, best first (choose with --adapter):\n");
    for (i, a) in list.iter().enumerate() {
        let _ = writeln!(text, "  {i}: {a}, driver {}", a.driver);
    }
    if list.is_empty() {
        text += "  none\n";
    }
    let listed = json!(list.iter().map(describe).collect::<Vec<_>>());
    if args.list {
        common.print(&json!({ "adapters": listed }), text)?;
        return Ok(());
    }
    let gpu = common.gpu()?;
    let info = gpu.info().clone();
    text += &facts(&info);
    let mixed = ops::mixed::state(&gpu);
    let _ = writeln!(
        text,
        "  mixed precision {}",
        mixed.as_ref().map_or_else(|why| format!("off: {why}"), |()| "on".into())
    );
    let bar = common.bar(check::ALL.len(), "checking {bar:24} {pos}/{len} {msg}");
    let mut reports = Vec::new();
    for (name, run) in check::ALL {
        bar.set_message(*name);
        reports.extend(run(&gpu)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let wrong = reports.iter().filter(|r| !r.ok()).count();
    text += "\nevery op against its definition in f64 (largest error relative to the largest value):\n";
    for report in &reports {
        let _ = writeln!(text, "  {report}");
    }
    let _ = writeln!(text, "\n{} comparisons on {info}, {wrong} wrong", reports.len());
    text += &choices(&gpu);
    for line in advice(&info) {
        let _ = writeln!(text, "advice: {line}");
    }
    let checks: Vec<Value> = reports.iter().map(report_json).collect();
    let value = json!({ "adapters": listed, "adapter": describe(&info), "checks": checks, "wrong": wrong, "advice": advice(&info),
        "mixed_precision": mixed.as_ref().map_or_else(|why| why.as_str(), |()| "on"), "choices": choices_json(&gpu) });
    common.print(&value, text)?;
    match wrong {
        0 => Ok(()),
        _ => Err(Error::Gpu(format!("{wrong} ops are wrong on {info}: update its driver, or choose another adapter"))),
    }
}

/// What the races between kernels have come to on this adapter.
fn choices(gpu: &Gpu) -> String {
    let (list, file) = gpu.choices();
    let kept = file.map_or_else(|| "nowhere".into(), |f| f.display().to_string());
    let mut text = match gpu.autotunes() {
        true => format!("\nfastest kernels so far, kept in {kept}:\n"),
        false => String::from("\nkernels are chosen by size alone: autotune is off\n"),
    };
    if gpu.autotunes() && list.is_empty() {
        text += "  none yet: where only one kernel suits an adapter or a size, there is no race\n";
    }
    for (key, choice) in list {
        let _ = writeln!(text, "  {key}: {} ({})", choice.name, choice.notes);
    }
    text
}

fn choices_json(gpu: &Gpu) -> Value {
    let one = |(key, c): (String, desirepath::gpu::Choice)| json!({ "key": key, "kernel": c.name, "notes": c.notes });
    gpu.choices().0.into_iter().map(one).collect()
}

fn describe(a: &AdapterInfo) -> Value {
    json!({
        "name": a.name, "backend": a.backend, "kind": a.kind, "driver": a.driver, "software": a.software,
        "subgroup_min": a.subgroup_min, "subgroup_max": a.subgroup_max,
        "f16": a.f16, "subgroups": a.subgroups, "timestamps": a.timestamps,
        "max_binding": a.max_binding, "max_buffer": a.max_buffer, "max_storage_buffers": a.max_storage_buffers,
        "max_workgroup_memory": a.max_workgroup_memory, "max_invocations": a.max_invocations,
    })
}

fn report_json(r: &Report) -> Value {
    json!({ "op": r.op, "what": r.what, "shape": r.shape, "error": r.error, "tolerance": r.tolerance, "ok": r.ok() })
}

fn facts(a: &AdapterInfo) -> String {
    let yes = |b: bool| if b { "yes" } else { "no" };
    format!(
        "\nchosen: {a}\n  f16 {}, subgroups {} ({} to {} lanes), timestamps {}\n  \
         per binding {} MiB, per buffer {} MiB, workgroup {} KiB and {} invocations, {} storage buffers\n",
        yes(a.f16),
        yes(a.subgroups),
        a.subgroup_min,
        a.subgroup_max,
        yes(a.timestamps),
        a.max_binding >> 20,
        a.max_buffer >> 20,
        a.max_workgroup_memory >> 10,
        a.max_invocations,
        a.max_storage_buffers
    )
}

fn advice(a: &AdapterInfo) -> Vec<&'static str> {
    let mut lines = Vec::new();
    if a.software {
        lines.push("this adapter computes on the CPU; with a GPU, install its Vulkan driver to be far faster");
    }
    if !a.timestamps {
        lines.push("no timestamps: `bench` times from the host, which includes the cost of submitting");
    }
    if !a.subgroups && !a.software {
        lines.push("no subgroups: an update of the driver may bring them, and speed");
    }
    lines
}
