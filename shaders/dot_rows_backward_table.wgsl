// Gradient of products with rows of a table with respect to the table: each row that ids name gets dy[r, j] x[r], summed
// over order[starts[s] .. starts[s + 1]] in that order, so the same bits come out every time. With PLUS, what reached the
// table on another way is added.
// One thread per Element of the table, which loops over its segment; long segments are cut first, into rows of `partial`
// that a second dispatch adds up. Bound by memory.
struct Params { segments: u32, per_row: u32, dim: u32 } // dim counts Elements
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;             // [n]
@group(0) @binding(2) var<storage, read> x: array<Element>;          // [n / per_row, dim]
@group(0) @binding(3) var<storage, read> partial: array<Element>;    // [chunks, dim]
@group(0) @binding(4) var<storage, read> order: array<u32>;          // positions in dy, or PARTIAL + rows of partial
@group(0) @binding(5) var<storage, read> starts: array<u32>;         // [segments + 1]
@group(0) @binding(6) var<storage, read> plus: array<Element>;       // [segments, dim]
@group(0) @binding(7) var<storage, read_write> dtable: array<Element>; // [segments, dim]

// include: element
const PARTIAL: u32 = 0x80000000u;
const PLUS: u32 = 0u;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i >= params.segments * params.dim) {
        return;
    }
    let segment = i / params.dim;
    let column = i - segment * params.dim;
    let end = starts[segment + 1u];
    var sum = Element();
    for (var k = starts[segment]; k < end; k++) {
        let at = order[k];
        if (at < PARTIAL) {
            sum += dy[at] * x[at / params.per_row * params.dim + column];
        } else {
            sum += partial[(at - PARTIAL) * params.dim + column];
        }
    }
    if (PLUS == 1u) {
        sum += plus[i];
    }
    dtable[i] = sum;
}
