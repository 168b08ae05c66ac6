// Gradient of the loss with respect to the logits, in their place.
//   dz = dy (softmax(z) - (1 - smoothing) [item = target] - smoothing / n),   softmax(z) = exp(z - lse)
// One thread per column and a few rows of a workgroup's; bound by memory (on the CPU by exp).
const THREADS: u32 = 256u;
struct Params { rows: u32, items: u32, start: u32, first: u32, total: u32, smoothing: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> targets: array<u32>;            // [rows]
@group(0) @binding(2) var<storage, read> lse: array<f32>;                // [rows]
@group(0) @binding(3) var<storage, read> dy: array<f32>;                 // [rows]
@group(0) @binding(4) var<storage, read_write> logits: array<f32>;       // [rows, items] in, gradient out

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let row = group.y * groups.x + group.x;
    if (row >= params.rows) {
        return;
    }
    let target_id = targets[row];
    let takes_part = target_id >= params.first && target_id < params.total;
    let base = row * params.items;
    let begin = min(max(params.first, params.start) - params.start, params.items);
    if (!takes_part) {
        for (var i = thread; i < params.items; i += THREADS) {
            logits[base + i] = 0.0;
        }
        return;
    }
    for (var i = thread; i < begin; i += THREADS) {
        logits[base + i] = 0.0;
    }
    let d = dy[row];
    let log_sum = lse[row];
    let spread = params.smoothing / f32(params.total - params.first);
    var i = begin + thread;
    for (; i + 3u * THREADS < params.items; i += 4u * THREADS) {
        let at = base + i;
        let z = vec4(logits[at], logits[at + THREADS], logits[at + 2u * THREADS], logits[at + 3u * THREADS]);
        let dz = d * (exp(z - log_sum) - spread);
        logits[at] = dz.x;
        logits[at + THREADS] = dz.y;
        logits[at + 2u * THREADS] = dz.z;
        logits[at + 3u * THREADS] = dz.w;
    }
    for (; i < params.items; i += THREADS) {
        logits[base + i] = d * (exp(logits[base + i] - log_sum) - spread);
    }
    // The target's share, by the thread that wrote the element: the same stride from `begin`, so no barrier.
    let at = target_id - params.start;    // huge where the target is in an earlier part
    if (at < params.items && (at - begin) % THREADS == thread) {
        logits[base + at] -= (1.0 - params.smoothing) * d;
    }
}
