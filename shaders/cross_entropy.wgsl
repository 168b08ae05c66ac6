// Softmax statistics of logits, and the loss of each row. The logits are made by a matrix product before, with as many
// rows and items at a time as fit the memory; statistics of several parts of the items merge.
//   loss = lse - (1 - smoothing) z_target - smoothing mean(z),   lse = log(sum(exp(z)))
// Online maximum and sum: Milakov & Gimelshein 2018, https://arxiv.org/abs/1805.02867
// One workgroup per row, one pass; bound by memory (on the CPU by exp).
const THREADS: u32 = 256u;
// include: element
struct Params { rows: u32, items: u32, start: u32, first: u32, total: u32, smoothing: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<Element>;          // [rows, items], item `start` first
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
    let count = params.items / WIDTH; // Elements of a row
    let base = row * count;
    let begin = min(max(params.first, params.start) - params.start, params.items);
    let whole = (begin + WIDTH - 1u) / WIDTH; // the first Element of which all takes part
    var m = -1e30;
    var s = 0.0;
    var z = 0.0;
    if (thread == 0u) {
        for (var item = begin; item < min(whole * WIDTH, params.items); item++) {
            let v = part(logits[base + item / WIDTH], item % WIDTH);
            let top = max(m, v);
            s = fma(s, exp(m - top), exp(v - top));
            z += v;
            m = top;
        }
    }
    var i = whole + thread;
    // Four at a time: one exp for the change of maximum is shared by all of them.
    for (; i + 3u * THREADS < count; i += 4u * THREADS) {
        let at = base + i;
        let a = logits[at];
        let b = logits[at + THREADS];
        let c = logits[at + 2u * THREADS];
        let d = logits[at + 3u * THREADS];
        let top = max(m, highest(max(max(a, b), max(c, d))));
        s = fma(s, exp(m - top), total((exp(a - top) + exp(b - top)) + (exp(c - top) + exp(d - top))));
        z += total((a + b) + (c + d));
        m = top;
    }
    for (; i < count; i += THREADS) {
        let v = logits[base + i];
        let top = max(m, highest(v));
        s = fma(s, exp(m - top), total(exp(v - top)));
        z += total(v);
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
            let at = target_id - params.start;
            all.z = part(logits[base + at / WIDTH], at % WIDTH);
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

// The exponents are at most 0. What has seen no item yet has maximum -1e30 and sum 0, and adds nothing.
fn merged(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    let top = max(a.x, b.x);
    return vec4(top, a.y * exp(a.x - top) + b.y * exp(b.x - top), a.z + b.z, a.w + b.w);
}
