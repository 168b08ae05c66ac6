// Gradient of a layer normalization with respect to its input, with z = (x - mean) * rstd and g = dy * gamma:
//   dx = rstd * (g - average(g) - z * average(g * z))
// LANES threads per row, 256 / LANES rows per workgroup; bound by memory. One lane needs no barrier (software drivers).
struct Params { rows: u32, dim: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;             // [rows, dim]
@group(0) @binding(2) var<storage, read> gamma: array<f32>;         // [dim]
@group(0) @binding(3) var<storage, read> stats: array<f32>;         // [rows, 2]: mean, rstd
@group(0) @binding(4) var<storage, read> dy: array<f32>;            // [rows, dim]
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;      // [rows, dim]

const LANES: u32 = 16u;
var<workgroup> shared_sums: array<vec2<f32>, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let lane = thread % LANES;
    let row = (group.y * groups.x + group.x) * (256u / LANES) + thread / LANES;
    let inside = row < params.rows;
    // A thread without a row takes part in the barrier with an empty range, and reads the first row's numbers.
    let base = row * params.dim;
    let first = base + lane;
    let end = select(0u, base + params.dim, inside);
    let at = select(0u, 2u * row, inside);
    let mean = stats[at];
    let rstd = stats[at + 1u];

    var sums = vec2<f32>();
    for (var i = first; i < end; i += LANES) {
        let g = dy[i] * gamma[i - base];
        sums += vec2(g, g * (x[i] - mean) * rstd);
    }
    if (LANES > 1u) {
        shared_sums[thread] = sums;
        workgroupBarrier();
        sums = vec2<f32>();
        for (var k = 0u; k < LANES; k++) {
            sums += shared_sums[thread - lane + k];
        }
    }
    let averages = sums / f32(params.dim);
    for (var i = first; i < end; i += LANES) {
        let z = (x[i] - mean) * rstd;
        dx[i] = rstd * (dy[i] * gamma[i - base] - averages.x - z * averages.y);
    }
}
