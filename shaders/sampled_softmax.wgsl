// Negative log-likelihood of each row's target among items that were drawn to stand for all others. Bengio & Senecal 2008,
// https://doi.org/10.1109/TNN.2007.912312
//   y = lse - p,   lse = log(exp(p) + sum over j of exp(z_j)),   p = positive / temperature,   z likewise
// LANES threads per row; bound by exp.
struct Params { rows: u32, count: u32, scale: f32 } // count: of Elements; scale: 1 / temperature
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> positive: array<f32>;       // [rows]
@group(0) @binding(2) var<storage, read> negatives: array<Element>;  // [rows, count]
@group(0) @binding(3) var<storage, read_write> lse: array<f32>;      // [rows]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;        // [rows]

// include: element
// include: lanes
var<workgroup> lane_highest: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let row = (group.y * groups.x + group.x) * (256u / LANES) + thread / LANES;
    let inside = row < params.rows;
    // A thread without a row takes part in the barriers with an empty range.
    let count = select(0u, params.count, inside);
    let base = row * params.count;
    var p = 0.0;
    if (inside) {
        p = params.scale * positive[row];
    }
    // Every lane starts from the target, so that no maximum is that of nothing; the first one counts it.
    var top = p;
    var sum = select(0.0, 1.0, thread % LANES == 0u);
    for (var i = thread % LANES; i < count; i += LANES) {
        let v = params.scale * negatives[base + i];
        let next = max(top, highest(v));
        sum = sum * exp(top - next) + total(exp(v - next));
        top = next;
    }
    let most = highest_lane(thread, top);
    sum = over_lanes(thread, sum * exp(top - most));
    if (inside && thread % LANES == 0u) {
        let log_sum = most + log(sum);
        lse[row] = log_sum;
        y[row] = log_sum - p;
    }
}

fn highest_lane(thread: u32, value: f32) -> f32 {
    if (LANES == 1u) {
        return value;
    }
    lane_highest[thread] = value;
    workgroupBarrier();
    var most = value;
    let begin = thread - thread % LANES;
    for (var k = 0u; k < LANES; k++) {
        most = max(most, lane_highest[begin + k]);
    }
    return most;
}
