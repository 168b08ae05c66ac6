//! The shared cases on burn, on the adapter that burn chooses: one JSON object on standard output.
//!
//! Each case runs in a process of its own: one that fails, or takes the device with it, leaves the others alone.

mod measure;
mod ops;
mod sasrec;

use burn::tensor::Device;
use measure::Bench;
use serde_json::{Value, json};
use std::process::Command;

type Run = fn(&mut Bench);

/// Name, how to run it, and the passes that are timed.
const CASES: &[(&str, Run, &[&str])] = &[
    ("gemm-1024", |b| ops::gemm(b, 1024), &["forward"]),
    ("gemm-4096", |b| ops::gemm(b, 4096), &["forward"]),
    ("gru-128x50x64", |b| ops::gru(b, [128, 50, 64]), &["forward", "forward+backward"]),
    ("gru-512x200x128", |b| ops::gru(b, [512, 200, 128]), &["forward", "forward+backward"]),
    ("attention-128x50x64", |b| ops::attention(b, [128, 50, 64]), &["forward", "forward+backward"]),
    ("sasrec-step-128x50x64x3417", |b| sasrec::step(b, [128, 50, 64, 3417]), &["step"]),
    ("sasrec-step-128x200x128x27000", |b| sasrec::step(b, [128, 200, 128, 27_000]), &["step"]),
    ("top10-16x1m", |b| ops::top10(b, 16, 1_000_000), &["forward"]),
    ("top10-64x10m", |b| ops::top10(b, 64, 10_000_000), &["forward"]),
    ("request-1x50x64x3417", |b| sasrec::request(b, [50, 64, 3417]), &["forward"]),
    ("request-1x50x64x1m", |b| sasrec::request(b, [50, 64, 1_000_000]), &["forward"]),
    ("cross-entropy-6400x54542", |b| ops::cross_entropy(b, 6400, 54_542), &["forward+backward"]),
];

const VERSION: &str = "0.22.1"; // as in Cargo.lock: `make peers` builds with --locked

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value_of = |name: &str| args.iter().position(|a| a == name).and_then(|at| args.get(at + 1).cloned());
    let quick = args.iter().any(|a| a == "--quick");
    if let Some(name) = value_of("--inside") {
        return one(&name, quick);
    }
    let only = value_of("--only");
    let wanted = |name: &str| only.as_ref().is_none_or(|only| only == name);
    let mut rows = Vec::new();
    let mut about = Value::Null;
    for (name, _, passes) in CASES.iter().filter(|(name, ..)| wanted(name)) {
        eprintln!("burn: {name}");
        let found = child(name, quick);
        if !found["about"].is_null() {
            about = found["about"].clone();
        }
        let timed = found["rows"].as_array().cloned().unwrap_or_default();
        let missing = passes.iter().filter(|pass| timed.iter().all(|row| row["pass"] != **pass));
        let error = found["error"].as_str().unwrap_or("it ended without a result");
        let failed: Vec<Value> =
            missing.map(|pass| json!({"case": name, "pass": pass, "variant": "f32", "error": error})).collect();
        rows.extend(timed);
        rows.extend(failed);
    }
    let results = json!({"peer": "burn", "version": VERSION, "about": about, "cases": rows});
    println!("{results:#}");
}

/// Runs one case and prints a line of JSON after each pass, so that an earlier one survives the failure of a later.
fn one(name: &str, quick: bool) {
    let (_, run, _) = CASES.iter().find(|(n, ..)| *n == name).unwrap_or_else(|| panic!("no case {name}"));
    let (device, setup) = Device::wgpu_options().init_with_setup().expect("an adapter");
    let info = setup.adapter.get_info();
    let about = json!({
        "adapter": info.name, "backend": info.backend.to_string(),
        "driver": format!("{} {}", info.driver, info.driver_info).trim(),
        "compiler": if cfg!(feature = "spirv") { "SPIR-V" } else { "WGSL" },
    });
    println!("{}", json!({"about": about}));
    run(&mut Bench { device, case: name.into(), quick });
}

/// What a process that ran only `name` said, with what it died of.
fn child(name: &str, quick: bool) -> Value {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command.args(["--inside", name]).args(quick.then_some("--quick"));
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return json!({"error": error.to_string()}),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let about = lines.iter().find_map(|l| l.get("about")).cloned().unwrap_or(Value::Null);
    let rows: Vec<Value> = lines.into_iter().filter(|l| l.get("case").is_some()).collect();
    json!({"about": about, "rows": rows, "error": reason(&String::from_utf8_lossy(&output.stderr), &output.status.to_string())})
}

/// The first panic's message, on one line and without the path of the source.
fn reason(log: &str, status: &str) -> String {
    let mut lines = log.lines().skip_while(|line| !line.contains("panicked at"));
    lines.next();
    let message: Vec<&str> = lines.map(str::trim).take_while(|l| !l.starts_with("note: ")).take(6).collect();
    let message = message.join(" ").trim().chars().take(300).collect::<String>();
    if message.is_empty() { status.into() } else { message }
}
