// Column sums over blocks of rows: y[b] = sum of the rows b * block .. (b + 1) * block of x.
// One thread per element of y, which loops over the block; neighbours read neighbours. Bound by memory.
struct Params { rows: u32, dim: u32, block: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;             // [rows, dim]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;       // [blocks, dim]

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
    var sum = 0.0;
    for (var row = start; row < end; row++) {
        sum += x[row * params.dim + column];
    }
    y[i] = sum;
}
