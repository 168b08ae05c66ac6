// Rows of a table by id: y[i] = table[ids[i]], and zeros for the padding id.
// One thread per element of y; bound by memory. A table beyond one binding comes in pieces, one dispatch each: a piece
// writes the positions whose ids it holds, and the first one also the padding.
struct Params { n: u32, dim: u32, first: u32, rows: u32, padding: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<f32>;      // [rows, dim], rows `first..` of the whole
@group(0) @binding(2) var<storage, read> ids: array<u32>;        // [n]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;    // [n, dim]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i >= params.n * params.dim) {
        return;
    }
    let position = i / params.dim;
    let id = ids[position];
    if (id == params.padding) {
        if (params.first == 0u) {
            y[i] = 0.0;
        }
        return;
    }
    let row = id - params.first; // wraps to a huge number below the piece
    if (row < params.rows) {
        y[i] = table[row * params.dim + i - position * params.dim];
    }
}
