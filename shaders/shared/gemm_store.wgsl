// The end of a matrix product whose rows are not whole vec4. After gemm_end.
fn store(row: u32, col: u32, offset: u32, sums: vec4<f32>) {
    if (row >= params.m) {
        return;
    }
    for (var c = 0u; c < 4u; c += 1u) {
        if (col + c < params.n) {
            finish(offset + row * params.n + col + c, col + c, sums[c]);
        }
    }
}

fn store_sums(row: u32, offset: u32, sums: vec4<f32>) {
    for (var c = 0u; c < 4u; c += 1u) {
        if (row + c < params.m) {
            z[offset + row + c] = sums[c];
        }
    }
}
