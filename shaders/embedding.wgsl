// Rows of a table by id: y[i] = factor table[ids[i]], and zeros for the padding id. On the way, with PLUS they are added to
// what other tables gave, and with DROPOUT some of the sum is dropped: y = keep (plus + factor table[ids]).
// LANES threads per row of y; bound by memory. A table beyond one binding comes in pieces, one dispatch each: a piece
// writes the positions whose ids it holds, and the first one also the padding. A y beyond one binding comes in pieces, too.
struct Params {
    n: u32, dim: u32, first: u32, rows: u32, padding: u32, factor: f32, seed: u32, p: f32, // dim: of Elements
    before: u32, // Elements of y before this piece
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<Element>;      // [rows, dim], rows `first..` of the whole
@group(0) @binding(2) var<storage, read> ids: array<u32>;            // [n]
@group(0) @binding(3) var<storage, read> plus: array<Element>;       // [n, dim]
@group(0) @binding(4) var<storage, read_write> y: array<Element>;    // [n, dim]

// include: element
// include: random
// include: dropout
const LANES: u32 = 16u;
const PLUS: u32 = 0u;
const DROPOUT: u32 = 0u;

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
                finish(at + c, Element());
            }
        }
    } else if (row < params.rows) {
        let source = row * params.dim;
        for (var c = thread % LANES; c < params.dim; c += LANES) {
            finish(at + c, params.factor * table[source + c]);
        }
    }
}

fn finish(at: u32, value: Element) {
    var v = value;
    if (PLUS == 1u) {
        v += plus[at];
    }
    if (DROPOUT == 1u) {
        v *= dropout_element(params.seed, WIDTH * (params.before + at), params.p);
    }
    y[at] = v;
}
