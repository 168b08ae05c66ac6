// Inner products of paired rows: y[r] = sum over c of a[r, c] * b[r, c].
// LANES threads per row, 256 / LANES rows per workgroup; bound by memory. One lane needs no barrier (software drivers).
struct Params { rows: u32, dim: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;          // [rows, dim]
@group(0) @binding(2) var<storage, read> b: array<f32>;          // [rows, dim]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;    // [rows]

const LANES: u32 = 16u;
var<workgroup> shared_sums: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let lane = thread % LANES;
    let row = (group.y * groups.x + group.x) * (256u / LANES) + thread / LANES;
    let inside = row < params.rows;
    // A thread without a row takes part in the barrier with an empty range.
    let base = row * params.dim;
    let end = select(0u, base + params.dim, inside);
    var sum = 0.0;
    for (var i = base + lane; i < end; i += LANES) {
        sum += a[i] * b[i];
    }
    if (LANES > 1u) {
        shared_sums[thread] = sum;
        workgroupBarrier();
        sum = 0.0;
        for (var k = 0u; k < LANES; k++) {
            sum += shared_sums[thread - lane + k];
        }
    }
    if (inside && lane == 0u) {
        y[row] = sum;
    }
}
