// Causal attention pooling: the softmax-weighted mean of all that came so far. After Yang et al. 2016,
// https://aclanthology.org/N16-1174/
//   y_t = sum_{j <= t} exp(s_j - lse_t) x_j,   lse_t = log sum_{j <= t} exp(s_j),   s_j = x_j . w
// One thread per (batch, dim) walks along the sequence, so the cost is linear in its length. Bound by memory.
struct Params { batch: u32, len: u32, dim: u32, events: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;              // [batch, len, dim]
@group(0) @binding(2) var<storage, read> lengths: array<u32>;        // [batch]
@group(0) @binding(3) var<storage, read_write> stats: array<f32>;    // [2, batch, len]: scores; here lse is written
@group(0) @binding(4) var<storage, read_write> y: array<f32>;        // [batch, len, dim]

// include: lengths
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let at = (id.y * groups.x + id.x) * 64u + thread;
    if (at >= params.batch * params.dim) {
        return;
    }
    let batch = at / params.dim;
    let d = at % params.dim;
    let half = params.events;
    let length = length_at(batch);
    let begin = begin_of(batch);
    var most = -1e30;
    var below = 0.0;
    var above = 0.0;
    for (var t = 0u; t < room(length); t++) {
        let row = begin + t;
        var out = 0.0;
        var lse = 0.0;
        if (t < length) {
            // Relative to the largest score so far, so that no exp overflows.
            let s = stats[row];
            let larger = max(most, s);
            let shrink = exp(most - larger);
            let p = exp(s - larger);
            above = above * shrink + p * x[row * params.dim + d];
            below = below * shrink + p;
            most = larger;
            out = above / below;
            lse = most + log(below);
        }
        y[row * params.dim + d] = out;
        if (d == 0u) {
            stats[half + row] = lse;
        }
    }
}
