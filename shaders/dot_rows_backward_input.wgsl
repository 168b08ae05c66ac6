// Gradient of products with rows of a table with respect to x: dx[r] = sum over j of dy[r, j] table[ids[r, j]], in the
// order of j. With PLUS, what reached x on another way is added.
// One thread per Element of x; bound by memory. A table beyond one binding comes in pieces: with ACCUMULATE a piece adds to
// what those before it gave.
struct Params { n: u32, per_row: u32, dim: u32, first: u32, rows: u32 } // dim counts Elements
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;             // [n]
@group(0) @binding(2) var<storage, read> table: array<Element>;      // [rows, dim], rows `first..` of the whole
@group(0) @binding(3) var<storage, read> ids: array<u32>;            // [n]
@group(0) @binding(4) var<storage, read> plus: array<Element>;       // [n / per_row, dim]
@group(0) @binding(5) var<storage, read_write> dx: array<Element>;   // [n / per_row, dim]

// include: element
const PLUS: u32 = 0u;
const ACCUMULATE: u32 = 0u;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i >= params.n / params.per_row * params.dim) {
        return;
    }
    let column = i % params.dim;
    let begin = i / params.dim * params.per_row;
    var sum = Element();
    for (var at = begin; at < begin + params.per_row; at++) {
        let row = ids[at] - params.first; // wraps to a huge number below the piece
        if (row < params.rows) {
            sum += dy[at] * table[row * params.dim + column];
        }
    }
    if (PLUS == 1u) {
        sum += plus[i];
    }
    if (ACCUMULATE == 1u) {
        sum += dx[i];
    }
    dx[i] = sum;
}
