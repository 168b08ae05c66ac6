//! The results for people.

use super::{Results, Row};
use std::fmt::Write;

pub fn text(results: &Results) -> String {
    let c = &results.ceilings;
    let clock = if results.timestamps { "device time by timestamps" } else { "host time, for lack of timestamps" };
    let mut text = format!(
        "{}, driver {}\nceilings: copy {:.1} GB/s, read {:.1} GB/s, multiply-add {:.1} GFLOP/s, dispatch {:.1} us, \
         submit {:.1} us, round trip {:.1} us\nops: medians of {clock}; percent of the ceiling that bounds them (more than 100: a cache)\n\n",
        results.adapter,
        results.driver,
        c.copy_gbps,
        c.read_gbps,
        c.fma_gflops,
        c.dispatch_us,
        c.submit_us,
        c.round_trip_us
    );
    let _ = writeln!(
        text,
        "{:<34} {:<16} {:>10} {:>10} {:>9} {:>8} {:>5}  of          kernel",
        "case", "pass", "ms", "host ms", "GFLOP/s", "GB/s", "%"
    );
    for row in &results.cases {
        let _ = writeln!(text, "{}", line(row));
    }
    let steps = || results.cases.iter().filter(|r| r.pass == "step");
    if steps().next().is_some() {
        let _ = writeln!(
            text,
            "\nper training step: dispatches, bytes of their buffers (moved, if each is read or written once), most memory\n\
             in use at once; and what lies between the kernels: recording, submitting, reading the loss\n\n\
             {:<34} {:>10} {:>12} {:>12} {:>12}",
            "case", "dispatches", "MiB bound", "MiB at most", "ms between"
        );
        for row in steps() {
            let mib = |bytes: Option<u64>| bytes.unwrap_or(0) as f64 / f64::from(1 << 20);
            let between = row.device_ms.map_or_else(|| "-".into(), |ms| format!("{:.1}", row.host_ms - ms));
            let _ = writeln!(
                text,
                "{:<34} {:>10} {:>12.1} {:>12.1} {between:>12}",
                row.case,
                row.dispatches.unwrap_or(0),
                mib(row.bound_bytes),
                mib(row.peak_bytes)
            );
        }
    }
    if !results.skipped.is_empty() {
        let _ = writeln!(text, "\nleft out by --quick: {}", results.skipped.join(", "));
    }
    text
}

fn line(row: &Row) -> String {
    let gbps = row.gbps.map_or_else(|| "-".into(), |v| format!("{v:.1}"));
    format!(
        "{:<34} {:<16} {:>10.3} {:>10.3} {:>9.2} {gbps:>8} {:>5.1}  {:<10}  {}",
        row.case,
        row.pass,
        row.ms,
        row.host_ms,
        row.gflops,
        row.percent,
        row.bound,
        row.variant.unwrap_or("-")
    )
}
