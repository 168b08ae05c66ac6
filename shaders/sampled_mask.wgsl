// Takes drawn items out of some rows' comparison: the target itself where it was drawn by accident, and what else the row
// leaves out. Their scores become so low that their share is exactly 0, and so is their gradient.
//   z[row, j] = -1e30   where negatives[row, j] is the target or in ids[spans[row].x .. spans[row].y]
// One workgroup per row; each thread looks its items up among the row's negatives, which are sorted. Bound by the latency
// of scattered loads. An item listed twice is written twice, alike.
const THREADS: u32 = 256u;
const SPANS: u32 = 0u;
struct Params { rows: u32, count: u32, stride: u32 } // stride: from one row's negatives to the next's, 0 where all share
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;                 // [n]
@group(0) @binding(2) var<storage, read> spans: array<vec2<u32>>;         // [rows]: first and end in ids
@group(0) @binding(3) var<storage, read> targets: array<u32>;             // [rows]
@group(0) @binding(4) var<storage, read> negatives: array<u32>;           // [rows or 1, count], rising
@group(0) @binding(5) var<storage, read_write> z: array<f32>;             // [rows, count]

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let row = group.y * groups.x + group.x;
    if (row >= params.rows) {
        return;
    }
    if (thread == 0u) {
        take_out(row, targets[row]);
    }
    if (SPANS == 1u) {
        let span = spans[row];
        for (var j = span.x + thread; j < span.y; j += THREADS) {
            take_out(row, ids[j]);
        }
    }
}

fn take_out(row: u32, item: u32) {
    let begin = row * params.stride;
    // The first that is not below the item, by halving.
    var low = 0u;
    var high = params.count;
    while (low < high) {
        let middle = (low + high) / 2u;
        if (negatives[begin + middle] < item) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    for (; low < params.count && negatives[begin + low] == item; low++) {
        z[row * params.count + low] = -1e30;
    }
}
