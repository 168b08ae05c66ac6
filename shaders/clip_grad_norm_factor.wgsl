// The norm of everything, and the factor that brings it to max_norm where it is above:
//   y = [min(1, max_norm / (norm + 1e-6)), norm],   norm = sqrt(sum of sums)
// The factor is 0 where the norm is not finite. One workgroup.
struct Params { n: u32, max_norm: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<f32>;          // [n]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;       // [2]

var<workgroup> shared_sums: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32) {
    var sum = 0.0;
    for (var i = thread; i < params.n; i += 64u) {
        sum += sums[i];
    }
    shared_sums[thread] = sum;
    workgroupBarrier();
    if (thread > 0u) {
        return;
    }
    sum = 0.0;
    for (var k = 0u; k < 64u; k++) {
        sum += shared_sums[k];
    }
    let norm = sqrt(sum);
    // By its bits, because a compiler may assume that comparisons never see what is not finite.
    let finite = (bitcast<u32>(sum) & 0x7f800000u) != 0x7f800000u;
    y[0] = select(0.0, min(1.0, params.max_norm / (norm + 1e-6)), finite);
    y[1] = norm;
}
