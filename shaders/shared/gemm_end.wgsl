// The end of a matrix product for one number: y[at] = activation(v + bias[col]) + residual (+ y).
// Wants BIAS, ACT, KEEP, RESIDUAL, ACCUMULATE and bias, residual, y, z of single numbers.
fn finish(at: u32, col: u32, sum: f32) {
    var v = sum;
    if (BIAS == 1u) {
        v += bias[col];
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

