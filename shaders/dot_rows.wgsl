// Inner products of each row of x with rows of a table by id: y[r, j] = x[r] . table[ids[r, j]] (+ bias[ids[r, j]]).
// LANES threads per product; bound by memory, as nothing of the table is gathered first. One lane needs no barrier
// (software drivers). A table beyond one binding comes in pieces, one dispatch each: a piece writes what it holds.
struct Params { n: u32, per_row: u32, dim: u32, first: u32, rows: u32 } // dim counts Elements
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;      // [n / per_row, dim]
@group(0) @binding(2) var<storage, read> table: array<Element>;  // [rows, dim], rows `first..` of the whole
@group(0) @binding(3) var<storage, read> ids: array<u32>;        // [n]
@group(0) @binding(4) var<storage, read> bias: array<f32>;       // [rows of the whole]
@group(0) @binding(5) var<storage, read_write> y: array<f32>;    // [n]

// include: element
// include: lanes
const BIAS: u32 = 0u;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let at = (group.y * groups.x + group.x) * (256u / LANES) + thread / LANES;
    var id = 0u;
    var inside = at < params.n;
    if (inside) {
        id = ids[at];
    }
    let row = id - params.first; // wraps to a huge number below the piece
    inside = inside && row < params.rows;
    // A thread without a product takes part in the barrier with an empty range.
    let count = select(0u, params.dim, inside);
    let a = at / params.per_row * params.dim;
    let b = row * params.dim;
    var sum = Element();
    for (var c = thread % LANES; c < count; c += LANES) {
        sum += x[a + c] * table[b + c];
    }
    var product = over_lanes(thread, total(sum));
    if (inside && thread % LANES == 0u) {
        if (BIAS == 1u) {
            product += bias[id];
        }
        y[at] = product;
    }
}
