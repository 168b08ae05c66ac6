// Matrix product of few rows on software adapters: y = activation(a b^T + bias) + residual, b [n, k].
// One subgroup of 8 lanes per 8 columns of y, a column per lane; the lanes load 32 steps of a row of a between them and hand
// them round by broadcast. Bound by the loads of b. Each number is one chain in the order of k, as in the other products.
// include: gemm_load
// include: activation
const ROWS: u32 = 1u;        // of a, at most 4
@group(0) @binding(6) var<storage, read> residual: array<f32>;   // [m, n]
@group(0) @binding(7) var<storage, read_write> y: array<f32>;    // [m, n]
@group(0) @binding(8) var<storage, read_write> z: array<f32>;    // [m, n], before the activation

fn lane_of_a(row: u32, at: u32) -> vec4<f32> {
    let k4 = params.k / 4u;
    if (row < ROWS && at < k4) {
        return a4[row * k4 + at];
    }
    return vec4(0.0);
}

fn four(c: f32, a: vec4<f32>, b: vec4<f32>) -> f32 {
    return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, c))));
}

// Four steps of k, of every row.
fn multiply(c: vec4<f32>, b: vec4<f32>, x0: vec4<f32>, x1: vec4<f32>, x2: vec4<f32>, x3: vec4<f32>) -> vec4<f32> {
    var sums = vec4(four(c.x, x0, b), c.yzw);
    if (ROWS > 1u) { sums.y = four(c.y, x1, b); }
    if (ROWS > 2u) { sums.z = four(c.z, x2, b); }
    if (ROWS > 3u) { sums.w = four(c.w, x3, b); }
    return sums;
}

// include: gemm_end
@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(subgroup_invocation_id) lane: u32) {
    let col = (group.y * groups.x + group.x) * 8u + lane;
    let k4 = params.k / 4u;
    let row = min(col, params.n - 1u) * k4;    // of b; lanes behind the edge load what is inside, and store nothing
    var c = vec4(0.0);
    for (var k = 0u; k < k4; k += 8u) {
        let a0 = lane_of_a(0u, k + lane);
        let a1 = lane_of_a(1u, k + lane);
        let a2 = lane_of_a(2u, k + lane);
        let a3 = lane_of_a(3u, k + lane);
        c = multiply(c, b4[row + min(k + 0u, k4 - 1u)], subgroupBroadcast(a0, 0u), subgroupBroadcast(a1, 0u),
            subgroupBroadcast(a2, 0u), subgroupBroadcast(a3, 0u));
        c = multiply(c, b4[row + min(k + 1u, k4 - 1u)], subgroupBroadcast(a0, 1u), subgroupBroadcast(a1, 1u),
            subgroupBroadcast(a2, 1u), subgroupBroadcast(a3, 1u));
        c = multiply(c, b4[row + min(k + 2u, k4 - 1u)], subgroupBroadcast(a0, 2u), subgroupBroadcast(a1, 2u),
            subgroupBroadcast(a2, 2u), subgroupBroadcast(a3, 2u));
        c = multiply(c, b4[row + min(k + 3u, k4 - 1u)], subgroupBroadcast(a0, 3u), subgroupBroadcast(a1, 3u),
            subgroupBroadcast(a2, 3u), subgroupBroadcast(a3, 3u));
        c = multiply(c, b4[row + min(k + 4u, k4 - 1u)], subgroupBroadcast(a0, 4u), subgroupBroadcast(a1, 4u),
            subgroupBroadcast(a2, 4u), subgroupBroadcast(a3, 4u));
        c = multiply(c, b4[row + min(k + 5u, k4 - 1u)], subgroupBroadcast(a0, 5u), subgroupBroadcast(a1, 5u),
            subgroupBroadcast(a2, 5u), subgroupBroadcast(a3, 5u));
        c = multiply(c, b4[row + min(k + 6u, k4 - 1u)], subgroupBroadcast(a0, 6u), subgroupBroadcast(a1, 6u),
            subgroupBroadcast(a2, 6u), subgroupBroadcast(a3, 6u));
        c = multiply(c, b4[row + min(k + 7u, k4 - 1u)], subgroupBroadcast(a0, 7u), subgroupBroadcast(a1, 7u),
            subgroupBroadcast(a2, 7u), subgroupBroadcast(a3, 7u));
    }
    if (col < params.n) {
        for (var r = 0u; r < ROWS; r += 1u) {
            finish(r * params.n + col, col, c[r]);
        }
    }
}
