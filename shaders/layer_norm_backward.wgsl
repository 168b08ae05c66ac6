// Gradient of a layer normalization with respect to its input, with z = (x - mean) * rstd and g = dy * gamma:
//   dx = rstd * (g - average(g) - z * average(g * z)) (+ plus, what reached x on another way)
// LANES threads per row, 256 / LANES rows per workgroup; bound by memory. One lane needs no barrier, and keeps a row of
// DIM Elements instead of reading it again (software drivers).
struct Params { rows: u32, dim: u32 } // dim counts Elements
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;             // [rows, dim]
@group(0) @binding(2) var<storage, read> gamma: array<Element>;         // [dim]
@group(0) @binding(3) var<storage, read> stats: array<f32>;         // [rows, 2]: mean, rstd
@group(0) @binding(4) var<storage, read> dy: array<Element>;            // [rows, dim]
@group(0) @binding(5) var<storage, read> plus: array<Element>;          // [rows, dim]
@group(0) @binding(6) var<storage, read_write> dx: array<Element>;      // [rows, dim]

// include: element
const LANES: u32 = 16u;
const DIM: u32 = 0u;
const PLUS: u32 = 0u;
var<workgroup> shared_sums: array<vec2<f32>, 256>;

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
    // A thread without a row takes part in the barrier with an empty range, and reads the first row's numbers.
    let base = row * params.dim;
    let first = base + lane;
    let end = select(0u, base + params.dim, inside);
    let at = select(0u, 2u * row, inside);
    let mean = stats[at];
    let rstd = stats[at + 1u];

    var part = Element();
    var part_z = Element();
    for (var i = first; i < end; i += LANES) {
        let g = dy[i] * gamma[i - base];
        part += g;
        part_z += g * (x[i] - mean);
    }
    var sums = vec2(total(part), total(part_z) * rstd);
    if (LANES > 1u) {
        shared_sums[thread] = sums;
        workgroupBarrier();
        sums = vec2<f32>();
        for (var k = 0u; k < LANES; k++) {
            sums += shared_sums[thread - lane + k];
        }
    }
    let averages = sums / f32(params.dim * WIDTH);
    for (var i = first; i < end; i += LANES) {
        let z = (x[i] - mean) * rstd;
        var d = rstd * (dy[i] * gamma[i - base] - averages.x - z * averages.y);
        if (PLUS == 1u) {
            d += plus[i];
        }
        dx[i] = d;
    }
}

// A whole row by one thread. One behind the last row does the last one again, and stores nothing.
fn alone(row: u32) {
    let last = min(row, params.rows - 1u);
    let base = last * DIM;
    let mean = stats[2u * last];
    let rstd = stats[2u * last + 1u];
    var g: array<Element, max(DIM, 1u)>;
    var z: array<Element, max(DIM, 1u)>;
    var part = Element();
    var part_z = Element();
    for (var c = 0u; c < DIM; c++) {
        g[c] = dy[base + c] * gamma[c];
        z[c] = (x[base + c] - mean) * rstd;
        part += g[c];
        part_z += g[c] * z[c];
    }
    let averages = vec2(total(part), total(part_z)) / f32(max(DIM, 1u) * WIDTH);
    for (var c = 0u; c < DIM; c++) {
        g[c] = rstd * (g[c] - averages.x - z[c] * averages.y);
        if (PLUS == 1u) {
            g[c] += plus[base + c];
        }
    }
    if (row < params.rows) {
        for (var c = 0u; c < DIM; c++) {
            dx[base + c] = g[c];
        }
    }
}
