// LANES neighbours of a workgroup of 256 share one row.
const LANES: u32 = 16u;
var<workgroup> lane_values: array<f32, 256>;

// The sum of `value` over the lanes of a row, in their order. Every thread must come here.
fn over_lanes(thread: u32, value: f32) -> f32 {
    if (LANES == 1u) {
        return value;
    }
    lane_values[thread] = value;
    workgroupBarrier();
    var sum = 0.0;
    let begin = thread - thread % LANES;
    for (var k = 0u; k < LANES; k++) {
        sum += lane_values[begin + k];
    }
    return sum;
}
