// The end of a matrix product whose rows are not whole vec4: y = activation(v + bias) + residual (+ y).
// Wants BIAS, ACT, KEEP, RESIDUAL, ACCUMULATE and bias, residual, y, z of single numbers.
fn store(row: u32, col: u32, offset: u32, sums: vec4<f32>) {
    if (row >= params.m) {
        return;
    }
    for (var c = 0u; c < 4u; c += 1u) {
        if (col + c < params.n) {
            let at = offset + row * params.n + col + c;
            var v = sums[c];
            if (BIAS == 1u) {
                v += bias[col + c];
            }
            if (KEEP == 1u) {
                z[at] = v;
            }
            v = activate(ACT, v);
            if (RESIDUAL == 1u) {
                v += residual[at];
            }
            if (ACCUMULATE == 1u) {
                v += y[at];
            }
            y[at] = v;
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
