// Gradient of Bayesian personalised ranking with respect to the scores of the target and of what was drawn.
//   dnegatives = dy scale sigmoid(z - p),   dpositive = -sum over j of dnegatives
// LANES threads per row; bound by memory.
struct Params { rows: u32, count: u32, scale: f32 } // count: of Elements
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> positive: array<f32>;             // [rows]
@group(0) @binding(2) var<storage, read> negatives: array<Element>;        // [rows, count]
@group(0) @binding(3) var<storage, read> dy: array<f32>;                   // [rows]
@group(0) @binding(4) var<storage, read_write> dpositive: array<f32>;      // [rows]
@group(0) @binding(5) var<storage, read_write> dnegatives: array<Element>; // [rows, count]

// include: element
// include: lanes
// include: softplus

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let row = (group.y * groups.x + group.x) * (256u / LANES) + thread / LANES;
    let inside = row < params.rows;
    // A thread without a row takes part in the barrier with an empty range.
    let count = select(0u, params.count, inside);
    let base = row * params.count;
    var p = 0.0;
    var d = 0.0;
    if (inside) {
        p = positive[row];
        d = dy[row] * params.scale;
    }
    var part_sum = Element();
    for (var i = thread % LANES; i < count; i += LANES) {
        let dz = d * sigmoid(negatives[base + i] - p);
        dnegatives[base + i] = dz;
        part_sum += dz;
    }
    let sum = over_lanes(thread, total(part_sum));
    if (inside && thread % LANES == 0u) {
        dpositive[row] = -sum;
    }
}
