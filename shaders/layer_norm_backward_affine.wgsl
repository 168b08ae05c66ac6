// Gradients of a layer normalization with respect to gamma and beta, summed over blocks of rows:
//   dgamma = sum of dy * (x - mean) * rstd,   dbeta = sum of dy
// One thread per (block, column), which loops over the block's rows; neighbours read neighbours. Bound by memory.
struct Params { rows: u32, dim: u32, block: u32, stride: u32 } // dim and stride count Elements
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;             // [rows, dim]
@group(0) @binding(2) var<storage, read> stats: array<f32>;         // [rows, 2]: mean, rstd
@group(0) @binding(3) var<storage, read> dy: array<Element>;            // [rows, dim]
@group(0) @binding(4) var<storage, read_write> sums: array<Element>;    // [blocks, 2, stride]: dgamma, dbeta

// include: element

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    let block = i / params.dim;
    let start = block * params.block;
    if (start >= params.rows) {
        return;
    }
    let end = min(start + params.block, params.rows);
    let column = i - block * params.dim;
    var sum_gamma = Element();
    var sum_beta = Element();
    for (var row = start; row < end; row++) {
        let at = row * params.dim + column;
        let g = dy[at];
        sum_gamma += g * (x[at] - stats[2u * row]) * stats[2u * row + 1u];
        sum_beta += g;
    }
    let at = 2u * block * params.stride + column;
    sums[at] = sum_gamma;
    sums[at + params.stride] = sum_beta;
}
