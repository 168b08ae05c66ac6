// Layer normalization of each row. Ba, Kiros & Hinton 2016, https://arxiv.org/abs/1607.06450
//   y = (x - mean) * rstd * gamma + beta,   rstd = 1 / sqrt(variance + eps)
// LANES threads per row, 256 / LANES rows per workgroup; bound by memory. One lane needs no barrier, and keeps a row of
// DIM Elements instead of reading it again (software drivers).
struct Params { rows: u32, dim: u32, eps: f32 } // dim counts Elements
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;             // [rows, dim]
@group(0) @binding(2) var<storage, read> gamma: array<Element>;         // [dim]
@group(0) @binding(3) var<storage, read> beta: array<Element>;          // [dim]
@group(0) @binding(4) var<storage, read_write> y: array<Element>;       // [rows, dim]
@group(0) @binding(5) var<storage, read_write> stats: array<f32>;   // [rows, 2]: mean, rstd

// include: element
const LANES: u32 = 16u;
const DIM: u32 = 0u;
var<workgroup> shared_sums: array<f32, 256>;
var<workgroup> shared_squares: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    if (DIM > 0u) {
        alone((group.y * groups.x + group.x) * 256u + thread);
        return;
    }
    let lane = thread % LANES;
    let row = (group.y * groups.x + group.x) * (256u / LANES) + thread / LANES;
    let inside = row < params.rows;
    // A thread without a row takes part in the barriers with an empty range.
    let base = row * params.dim;
    let first = base + lane;
    let end = select(0u, base + params.dim, inside);

    var part = Element();
    for (var i = first; i < end; i += LANES) {
        part += x[i];
    }
    var sum = total(part);
    if (LANES > 1u) {
        shared_sums[thread] = sum;
        workgroupBarrier();
        sum = 0.0;
        for (var k = 0u; k < LANES; k++) {
            sum += shared_sums[thread - lane + k];
        }
    }
    let mean = sum / f32(params.dim * WIDTH);

    // A second pass over x: E[x²] - E[x]² cancels catastrophically in f32.
    part = Element();
    for (var i = first; i < end; i += LANES) {
        let d = x[i] - mean;
        part += d * d;
    }
    var squares = total(part);
    if (LANES > 1u) {
        shared_squares[thread] = squares;
        workgroupBarrier();
        squares = 0.0;
        for (var k = 0u; k < LANES; k++) {
            squares += shared_squares[thread - lane + k];
        }
    }
    let rstd = inverseSqrt(squares / f32(params.dim * WIDTH) + params.eps);

    for (var i = first; i < end; i += LANES) {
        let column = i - base;
        y[i] = (x[i] - mean) * rstd * gamma[column] + beta[column];
    }
    if (inside && lane == 0u) {
        stats[2u * row] = mean;
        stats[2u * row + 1u] = rstd;
    }
}

// A whole row by one thread. One behind the last row does the last one again, and stores nothing.
fn alone(row: u32) {
    let base = min(row, params.rows - 1u) * DIM;
    var kept: array<Element, max(DIM, 1u)>;
    var part = Element();
    for (var c = 0u; c < DIM; c++) {
        kept[c] = x[base + c];
        part += kept[c];
    }
    let mean = total(part) / f32(max(DIM, 1u) * WIDTH);
    part = Element();
    for (var c = 0u; c < DIM; c++) {
        kept[c] -= mean;
        part += kept[c] * kept[c];
    }
    let rstd = inverseSqrt(total(part) / f32(max(DIM, 1u) * WIDTH) + params.eps);
    for (var c = 0u; c < DIM; c++) {
        kept[c] = kept[c] * rstd * gamma[c] + beta[c];
    }
    if (row < params.rows) {
        for (var c = 0u; c < DIM; c++) {
            y[base + c] = kept[c];
        }
        stats[2u * row] = mean;
        stats[2u * row + 1u] = rstd;
    }
}
