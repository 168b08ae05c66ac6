// The end of a matrix product whose rows are whole vec4. See gemm_store.wgsl.
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
