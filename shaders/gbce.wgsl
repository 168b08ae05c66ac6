// Binary cross-entropy of each row's target and of what was drawn beside it, where the target's probability is raised to
// the power of beta: this takes back the overconfidence that a sample teaches. Petrov & Macdonald 2023,
// https://arxiv.org/abs/2308.07192
//   y = scale (beta softplus(-p) + sum over j of softplus(z_j)),   scale = 1 / (negatives + 1)
// LANES threads per row; bound by exp.
struct Params { rows: u32, count: u32, scale: f32, beta: f32 } // count: of Elements
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
    var part_sum = Element();
    for (var i = thread % LANES; i < count; i += LANES) {
        part_sum += softplus(negatives[base + i]);
    }
    let sum = over_lanes(thread, total(part_sum));
    if (inside && thread % LANES == 0u) {
        y[row] = params.scale * (params.beta * part(softplus(Element(-positive[row])), 0u) + sum);
    }
}
