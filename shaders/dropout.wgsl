// Dropout: y = x * factor, 0 with probability p and 1 / (1 - p) else. Srivastava et al. 2014,
// https://jmlr.org/papers/v15/srivastava14a.html. The factor comes from (seed, element), so the backward pass draws it
// again with the same kernel and nothing is stored.
// One thread per element; bound by memory.
struct Params { n: u32, seed: u32, p: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;          // [n]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;    // [n]

// include: random

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i < params.n) {
        y[i] = x[i] * dropout_factor(params.seed, i, params.p);
    }
}
