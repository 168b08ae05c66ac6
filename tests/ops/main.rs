//! Every op against its definition, at sizes around its tiles. One device for all: guarded, so that padding is poisoned
//! and a write behind the end of any tensor is an error. `DESIREPATH_CHECKED=1` runs the same
//! suite with checked shaders, `DESIREPATH_LIMITS=webgpu` under WebGPU's default limits, `DESIREPATH_VARIANTS=gpu` with
//! the kernels that GPUs get, whatever the adapter.

mod attention;
mod cross_entropy;
mod elementwise;
mod embedding;
mod gru;
mod norm;
mod optimizer;
mod packed;
mod pointer;
mod product;
mod rank_of;
mod reduce;
mod sampled;
mod top_k;

use desirepath::check::Report;
use desirepath::{Gpu, Options, Result};
use std::sync::OnceLock;

pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open(Options { guard: true, ..Options::from_env() }).expect("an adapter"))
}

/// A device on which `from` in the source of kernel `name` reads `to`: to show that the suite notices.
pub fn broken(name: &'static str, from: &'static str, to: &'static str) -> Gpu {
    let patch = move |kernel: &str, source: &str| {
        if kernel != name {
            return source.to_string();
        }
        assert!(source.contains(from), "{name} has no `{from}` to break");
        source.replace(from, to)
    };
    let options = Options { guard: true, patch: Some(std::sync::Arc::new(patch)), ..Options::from_env() };
    Gpu::open(options).expect("an adapter")
}

#[track_caller]
pub fn assert_ok(reports: Result<Vec<Report>>) {
    let reports = reports.expect("the device works");
    assert!(!reports.is_empty(), "nothing was compared");
    let wrong: Vec<String> = reports.iter().filter(|r| !r.ok()).map(Report::to_string).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The comparison fails, by a wrong value or by a write outside. A kernel that does not even compile shows nothing.
#[track_caller]
pub fn assert_noticed(reports: Result<Vec<Report>>) {
    match reports {
        Ok(list) => assert!(list.iter().any(|r| !r.ok()), "a broken kernel passes"),
        Err(error) => assert!(error.to_string().contains("wrote behind"), "the broken kernel did not run: {error}"),
    }
}
