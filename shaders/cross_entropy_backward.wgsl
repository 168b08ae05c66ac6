// Gradient of the loss with respect to the logits, in their place.
//   dz = dy (softmax(z) - (1 - smoothing) [item = target] - smoothing / n),   softmax(z) = exp(z - lse)
// One workgroup per row, no barrier; bound by memory (on the CPU by exp).
const THREADS: u32 = 256u;
// include: element
struct Params { rows: u32, items: u32, start: u32, first: u32, total: u32, smoothing: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> targets: array<u32>;            // [rows]
@group(0) @binding(2) var<storage, read> lse: array<f32>;                // [rows]
@group(0) @binding(3) var<storage, read> dy: array<f32>;                 // [rows]
@group(0) @binding(4) var<storage, read_write> logits: array<Element>;   // [rows, items] in, gradient out

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let row = group.y * groups.x + group.x;
    if (row >= params.rows) {
        return;
    }
    let target_id = targets[row];
    let takes_part = target_id >= params.first && target_id < params.total;
    let count = params.items / WIDTH; // Elements of a row
    let base = row * count;
    if (!takes_part) {
        for (var i = thread; i < count; i += THREADS) {
            logits[base + i] = Element();
        }
        return;
    }
    let d = dy[row];
    let log_sum = lse[row];
    let spread = params.smoothing / f32(params.total - params.first);
    let begin = min(max(params.first, params.start) - params.start, params.items);
    let whole = (begin + WIDTH - 1u) / WIDTH; // the first Element of which all takes part
    for (var i = thread; i < whole; i += THREADS) {
        let z = logits[base + i];
        var dz = Element();
        for (var k = begin - min(begin, i * WIDTH); k < WIDTH; k++) {
            dz = put(dz, k, d * (exp(part(z, k) - log_sum) - spread));
        }
        logits[base + i] = dz;
    }
    var i = whole + thread;
    for (; i + THREADS < count; i += 2u * THREADS) {
        let at = base + i;
        let z0 = logits[at];
        let z1 = logits[at + THREADS];
        logits[at] = d * (exp(z0 - log_sum) - spread);
        logits[at + THREADS] = d * (exp(z1 - log_sum) - spread);
    }
    if (i < count) {
        logits[base + i] = d * (exp(logits[base + i] - log_sum) - spread);
    }
    // The target's share, by the thread that wrote its Element: no barrier.
    let at = target_id - params.start;    // huge where the target is in an earlier part
    let element = at / WIDTH;
    let writer = select(element - whole, element, element < whole) % THREADS;
    if (at < params.items && writer == thread) {
        let dz = logits[base + element];
        let k = at % WIDTH;
        logits[base + element] = put(dz, k, part(dz, k) - (1.0 - params.smoothing) * d);
    }
}
