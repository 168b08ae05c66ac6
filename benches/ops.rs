//! Every op at one size, forward and with its gradient, compared with its definition before it is timed.
//! `cargo bench --all-features --bench ops -- gru` runs those whose name contains `gru`.

#[allow(dead_code)] // the program's table also wants what each costs at least
#[path = "../src/cli/bench/work.rs"]
mod work;

use criterion::{Criterion, criterion_group, criterion_main};
use desirepath::{Gpu, check};

/// An op and the case that stands for it.
const ROWS: &[(&str, &str)] = &[
    ("add", "add-64k"),
    ("add_broadcast", "add-broadcast-64x1024"),
    ("scale", "scale-64k"),
    ("fill", "fill-64k"),
    ("dropout", "dropout-64k"),
    ("bce_with_logits", "bce-with-logits-6k"),
    ("mean", "mean-6k"),
    ("dot", "dot-6400x64"),
    ("embedding", "embedding-3417x64-6400"),
    ("layer_norm", "layer-norm-6400x64"),
    ("matmul", "gemm-1024"),
    ("linear", "linear-6400x64x64"),
    ("gru", "gru-128x50x64"),
    ("gru_step", "gru-step-1x64"),
    ("attention", "attention-128x50x64"),
    ("attention_weights", "attention-weights-128x50x64"),
    ("attention_pool", "attention-pool-128x50x64"),
    ("pointer", "pointer-32x100x64"),
    ("pointer_weights", "pointer-weights-128x200x64"),
    ("mixture", "mixture-6k"),
    ("cross_entropy", "cross-entropy-640x3417"),
    ("dot_rows", "dot-rows-640x256"),
    ("sampled_softmax", "sampled-softmax-640x256"),
    ("gbce", "gbce-640x256"),
    ("bpr", "bpr-640x256"),
    ("top_k", "top10-1x54542"),
    ("rank_of", "rank-of-128x3417"),
    ("clip_grad_norm", "clip-grad-norm-64k"),
    ("adamw", "adamw-64k"),
];

fn ops(c: &mut Criterion) {
    let gpu = Gpu::new().expect("an adapter");
    for (op, name) in ROWS {
        row(c, &gpu, op, name);
    }
}

fn row(c: &mut Criterion, gpu: &Gpu, op: &str, name: &str) {
    let (_, check) = check::ALL.iter().find(|(n, _)| n == &op).expect("an op with a check");
    let reports = check(gpu).expect("the device works");
    assert!(reports.iter().all(check::Report::ok), "{op} is wrong: run `desirepath doctor`");
    let case = work::CASES.iter().find(|case| case.name == name).expect("a case of this name");
    assert_eq!(case.op, op, "{name} is of another op");
    let work = (case.make)(gpu);
    let mut group = c.benchmark_group(name);
    group.sample_size(10);
    let mut pass = |what: &str, run: &dyn Fn()| {
        group.bench_function(what, |b| {
            b.iter(|| {
                run();
                gpu.sync().expect("the device works");
            })
        });
    };
    pass("forward", &|| work.run_forward());
    if work.has_gradient() {
        pass("forward+backward", &|| work.run_both());
    }
    group.finish();
}

criterion_group!(benches, ops);
criterion_main!(benches);
