// Bayesian personalised ranking: how badly each row's target is told apart from each of what was drawn beside it. Rendle et
// al. 2009, https://arxiv.org/abs/1205.2618
//   y = scale sum over j of softplus(z_j - p),   scale = 1 / negatives
// LANES threads per row; bound by exp.
struct Params { rows: u32, count: u32, scale: f32 } // count: of Elements
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> positive: array<f32>;       // [rows]
@group(0) @binding(2) var<storage, read> negatives: array<Element>;  // [rows, count]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;        // [rows]

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
    if (inside) {
        p = positive[row];
    }
    var part_sum = Element();
    for (var i = thread % LANES; i < count; i += LANES) {
        part_sum += softplus(negatives[base + i] - p);
    }
    let sum = over_lanes(thread, total(part_sum));
    if (inside && thread % LANES == 0u) {
        y[row] = params.scale * sum;
    }
}
