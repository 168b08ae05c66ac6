// Softmax statistics of logits, and the loss of each row. The logits are made by a matrix product before, with as many
// rows and items at a time as fit the memory; statistics of several parts of the items merge.
//   loss = lse - (1 - smoothing) z_target - smoothing mean(z),   lse = log(sum(exp(z)))
// Online maximum and sum: Milakov & Gimelshein 2018, https://arxiv.org/abs/1805.02867
// One workgroup per row, one pass; bound by memory (on the CPU by exp).
const THREADS: u32 = 256u;
struct Params { rows: u32, items: u32, start: u32, first: u32, total: u32, smoothing: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;              // [rows, items], item `start` first
@group(0) @binding(2) var<storage, read> targets: array<u32>;             // [rows]
@group(0) @binding(3) var<storage, read_write> stats: array<vec4<f32>>;   // [rows]: max, sum of exp, z_target, sum
@group(0) @binding(4) var<storage, read_write> loss: array<f32>;          // [rows]
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;           // [rows]

var<workgroup> parts: array<vec4<f32>, THREADS>;    // max, sum of exp, unused, sum

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let row = group.y * groups.x + group.x;
    if (row >= params.rows) {
        return;
    }
    let target_id = targets[row];
    if (target_id < params.first || target_id >= params.total) {    // ignored
        if (thread == 0u) {
            loss[row] = 0.0;
            lse[row] = 0.0;
        }
        return;
    }
    let base = row * params.items;
    var m = -1e30;
    var s = 0.0;
    var z = 0.0;
    var i = max(params.first, params.start) - params.start + thread;
    // Eight at a time: one exp for the change of maximum is shared by all of them.
    for (; i + 7u * THREADS < params.items; i += 8u * THREADS) {
        let at = base + i;
        let a = vec4(logits[at], logits[at + THREADS], logits[at + 2u * THREADS], logits[at + 3u * THREADS]);
        let b = vec4(logits[at + 4u * THREADS], logits[at + 5u * THREADS], logits[at + 6u * THREADS],
            logits[at + 7u * THREADS]);
        let ab = max(a, b);
        let top = max(m, max(max(ab.x, ab.y), max(ab.z, ab.w)));
        s = fma(s, exp(m - top), dot(exp(a - top) + exp(b - top), vec4(1.0)));
        z += dot(a + b, vec4(1.0));
        m = top;
    }
    for (; i < params.items; i += THREADS) {
        let v = logits[base + i];
        let top = max(m, v);
        s = fma(s, exp(m - top), exp(v - top));
        z += v;
        m = top;
    }
    parts[thread] = vec4(m, s, 0.0, z);
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (thread < half) {
            parts[thread] = merged(parts[thread], parts[thread + half]);
        }
    }
    if (thread == 0u) {
        var all = parts[0];
        if (target_id >= params.start && target_id - params.start < params.items) {
            all.z = logits[base + target_id - params.start];
        }
        if (params.start > 0u) {
            all = merged(stats[row], all);
        }
        if (params.start + params.items < params.total) {
            stats[row] = all;
        } else {
            let log_sum = all.x + log(all.y);
            let n = f32(params.total - params.first);
            lse[row] = log_sum;
            loss[row] = log_sum - (1.0 - params.smoothing) * all.z - params.smoothing * (all.w / n);
        }
    }
}

// No part is empty of all items for good, so the maximum is a number and the exponents are at most 0.
fn merged(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    let top = max(a.x, b.x);
    return vec4(top, a.y * exp(a.x - top) + b.y * exp(b.x - top), a.z + b.z, a.w + b.w);
}
