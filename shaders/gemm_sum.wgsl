// Second half of a matrix product that was split along k: the sum of the parts, always in the same order.
//   y = sum_s parts[s] (+ residual) (+ y)
// One thread per Element; bound by memory.
const RESIDUAL: u32 = 0u;
const ACCUMULATE: u32 = 0u;
struct Params { n: u32, splits: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parts: array<Element>;      // [splits, n]
@group(0) @binding(2) var<storage, read> residual: array<Element>;   // [n]
@group(0) @binding(3) var<storage, read_write> y: array<Element>;    // [n]

// include: element

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i >= params.n) {
        return;
    }
    var sum = Element();
    if (ACCUMULATE == 1u) {
        sum = y[i];
    }
    for (var s = 0u; s < params.splits; s += 1u) {
        sum += parts[s * params.n + i];
    }
    if (RESIDUAL == 1u) {
        sum += residual[i];
    }
    y[i] = sum;
}
