// Matrix product on software adapters where rows of y are whole vec4. See shared/gemm_lanes.wgsl.
//   y = activation(a b + bias) + residual
// include: gemm_lanes
// include: activation
@group(0) @binding(6) var<storage, read> residual: array<vec4<f32>>;   // [m, n]
@group(0) @binding(7) var<storage, read_write> y: array<vec4<f32>>;    // [splits, m, n]
@group(0) @binding(8) var<storage, read_write> z: array<vec4<f32>>;    // [m, n], before the activation

fn store(row: u32, col: u32, offset: u32, sums: vec4<f32>) {
    if (row >= params.m || col >= params.n) {
        return;
    }
    let at = (offset + row * params.n + col) / 4u;
    var v = sums;
    if (BIAS == 1u) {
        v += vec4(bias[col], bias[col + 1u], bias[col + 2u], bias[col + 3u]);
    }
    if (KEEP == 1u) {
        z[at] = v;
    }
    v = vec4(activate(ACT, v.x), activate(ACT, v.y), activate(ACT, v.z), activate(ACT, v.w));
    if (RESIDUAL == 1u) {
        v += residual[at];
    }
    if (ACCUMULATE == 1u) {
        v += y[at];
    }
    y[at] = v;
}

// Needs m a multiple of 4.
fn store_sums(row: u32, offset: u32, sums: vec4<f32>) {
    if (row < params.m) {
        z[(offset + row) / 4u] = sums;
    }
}
