// Takes items out of some rows' softmax before it is computed: their logits become so low that their share is exactly 0,
// and so is their gradient.
//   z[row, i] = -1e30   for i in ids[spans[row].x .. spans[row].y], but for the row's own target
// One workgroup per row; bound by the latency of scattered stores. An item listed twice is written twice, alike.
const THREADS: u32 = 256u;
struct Params { rows: u32, items: u32, start: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;                 // [n]
@group(0) @binding(2) var<storage, read> spans: array<vec2<u32>>;         // [rows]: first and end in ids
@group(0) @binding(3) var<storage, read> targets: array<u32>;             // [rows]
@group(0) @binding(4) var<storage, read_write> logits: array<f32>;        // [rows, items], item `start` first

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let row = group.y * groups.x + group.x;
    if (row >= params.rows) {
        return;
    }
    let span = spans[row];
    let target_id = targets[row];
    for (var j = span.x + thread; j < span.y; j += THREADS) {
        let item = ids[j];
        let at = item - params.start;    // huge where the item is in an earlier part
        if (at < params.items && item != target_id) {
            logits[row * params.items + at] = -1e30;
        }
    }
}
