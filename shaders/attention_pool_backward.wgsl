// Gradient of attention_pool along the sequence, for given scores.
//   direct_j = sum_{t >= j} p_tj dy_t,   p_tj = exp(s_j - lse_t);   ds_j = sum_d x_jd direct_jd - sum_{t >= j} p_tj dy_td y_td
// One thread per (batch, dim) walks backwards. lse never falls along the sequence, so exp(lse_j - lse_{j+1}) is at most
// one and nothing overflows. Bound by memory.
struct Params { batch: u32, len: u32, dim: u32, events: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;              // [batch, len, dim]
@group(0) @binding(2) var<storage, read> lengths: array<u32>;        // [batch]
@group(0) @binding(3) var<storage, read> stats: array<f32>;          // [2, batch, len]: s, lse
@group(0) @binding(4) var<storage, read> y: array<f32>;              // [batch, len, dim]
@group(0) @binding(5) var<storage, read> dy: array<f32>;             // [batch, len, dim]
@group(0) @binding(6) var<storage, read_write> direct: array<f32>;   // [batch, len, dim]
@group(0) @binding(7) var<storage, read_write> slopes: array<f32>;   // [batch, len, dim]: terms of ds

// include: lengths
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let at = (id.y * groups.x + id.x) * 64u + thread;
    if (at >= params.batch * params.dim) {
        return;
    }
    let batch = at / params.dim;
    let half = params.events;
    let length = length_at(batch);
    let begin = begin_of(batch);
    var later = 0.0;    // lse of the position after
    var sum = 0.0;      // of exp(lse_j - lse_t) dy_t over t >= j
    var dots = 0.0;     // the same of dy_t y_t
    for (var left = room(length); left > 0u; left--) {
        let row = begin + left - 1u;
        let here = row * params.dim + at % params.dim;
        var g = 0.0;
        var slope = 0.0;
        if (left <= length) {
            let lse = stats[half + row];
            let fade = exp(min(lse - later, 0.0));
            sum = sum * fade + dy[here];
            dots = dots * fade + dy[here] * y[here];
            let p = exp(stats[row] - lse);
            g = p * sum;
            slope = x[here] * g - p * dots;
            later = lse;
        }
        direct[here] = g;
        slopes[here] = slope;
    }
}
