// Rows of a table by id: y[i] = table[ids[i]], and zeros for the padding id.
// LANES threads per row of y; bound by memory. A table beyond one binding comes in pieces, one dispatch each: a piece
// writes the positions whose ids it holds, and the first one also the padding.
struct Params { n: u32, dim: u32, first: u32, rows: u32, padding: u32 } // dim counts Elements
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<Element>;      // [rows, dim], rows `first..` of the whole
@group(0) @binding(2) var<storage, read> ids: array<u32>;            // [n]
@group(0) @binding(3) var<storage, read_write> y: array<Element>;    // [n, dim]

// include: element
const LANES: u32 = 16u;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let position = (group.y * groups.x + group.x) * (256u / LANES) + thread / LANES;
    if (position >= params.n) {
        return;
    }
    let id = ids[position];
    let row = id - params.first; // wraps to a huge number below the piece
    let at = position * params.dim;
    if (id == params.padding) {
        if (params.first == 0u) {
            for (var c = thread % LANES; c < params.dim; c += LANES) {
                y[at + c] = Element();
            }
        }
    } else if (row < params.rows) {
        let source = row * params.dim;
        for (var c = thread % LANES; c < params.dim; c += LANES) {
            y[at + c] = table[source + c];
        }
    }
}
