// Gradient of the gated recurrent unit, backwards in time; r, z, n, hn = W_hn h + b_hn and h are those of the forward.
//   d = dy + dh                                dn = d * (1 - z) * (1 - n²)        dz = d * (h - n) * z * (1 - z)
//   dr = dn * hn * r * (1 - r)                 dh = d * z + W_hhᵀ [dr, dz, dn * r]
//   dgates_x = [dr, dz, dn]                    dgates_h = [dr, dz, dn * r]
// Everything else is a product of these with x, h or the weights. Beyond a row's length both are 0.
// One workgroup takes 4 batch rows through all steps; a thread owns one hidden column (and every WIDTH-th after it), the
// rows are the components of its vectors. Gate gradients pass through workgroup memory in chunks. Limited by reading
// w_hh from the cache once per step, and by how many groups of 4 rows there are.
struct Params { batch: u32, len: u32, dim: u32, start: u32, end: u32, ragged: u32, hn_at: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;             // [batch, len, dim]
@group(0) @binding(2) var<storage, read_write> gates: array<f32>;    // [batch, len, 3, dim]: in r z n, out dgates_x
@group(0) @binding(3) var<storage, read> saved: array<f32>;          // states [batch, len, dim], then hn
@group(0) @binding(4) var<storage, read> w_hh: array<f32>;           // [3, dim, dim]
@group(0) @binding(5) var<storage, read> lengths: array<u32>;        // [batch]
@group(0) @binding(6) var<storage, read_write> dgates_h: array<f32>; // [batch, len, 3, dim]
@group(0) @binding(7) var<storage, read_write> dh: array<f32>;       // [batch, dim]: in and out the running sum

const WIDTH: u32 = 64u;
const CHUNK: u32 = 256u;
var<workgroup> chunk: array<vec4<f32>, CHUNK>; // of the 4 rows' gate gradients

// include: lengths
// include: gru_rows

// Gate gradients of one row at step t; the part of the state's gradient that passes by the gates goes to dh.
fn through_gates(row: u32, t: u32, column: u32) {
    let dim = params.dim;
    let length = length_of(row);
    if (t >= room(length)) {
        return;
    }
    let position = event(row, t);
    let at = position * 3u * dim + column;
    var dr = 0.0;
    var dz = 0.0;
    var dn = 0.0;
    var dn_h = 0.0;
    if (t < length) {
        let r = gates[at];
        let z = gates[at + dim];
        let n = gates[at + 2u * dim];
        let own = position * dim + column;
        let d = dy[own] + dh[row * dim + column];
        dn = d * (1.0 - z) * (1.0 - n * n);
        dz = d * (saved[own] - n) * z * (1.0 - z);
        dr = dn * saved[params.hn_at + own] * r * (1.0 - r);
        dn_h = dn * r;
        dh[row * dim + column] = d * z;
    }
    gates[at] = dr;
    gates[at + dim] = dz;
    gates[at + 2u * dim] = dn;
    dgates_h[at] = dr;
    dgates_h[at + dim] = dz;
    dgates_h[at + 2u * dim] = dn_h;
}

fn gates_of(row: u32, t: u32) -> u32 {
    return event(min(row, params.batch - 1u), t) * 3u * params.dim;
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = (group.y * groups.x + group.x) * 4u;
    if (first >= params.batch) {
        return;
    }
    let dim = params.dim;
    let rows = min(4u, params.batch - first);
    var longest = 0u;
    for (var i = 0u; i < rows; i++) {
        longest = max(longest, length_of(first + i));
    }
    for (var t = min(params.end, room(longest)); t > params.start; ) {
        t--;
        for (var i = 0u; i < rows; i++) {
            for (var column = thread; column < dim; column += WIDTH) {
                through_gates(first + i, t, column);
            }
        }
        if (t >= longest) {
            continue;
        }
        storageBarrier(); // this step's gate gradients are complete
        let at = vec4(gates_of(first, t), gates_of(first + 1u, t), gates_of(first + 2u, t), gates_of(first + 3u, t));
        for (var block = 0u; block < dim; block += WIDTH) {
            let column = block + thread;
            let mine = min(column, dim - 1u);
            var sum = vec4(0.0);
            for (var base = 0u; base < 3u * dim; base += CHUNK) {
                let size = min(CHUNK, 3u * dim - base);
                workgroupBarrier(); // the chunk before has been used by all
                for (var i = thread; i < size; i += WIDTH) {
                    let j = at + base + i;
                    chunk[i] = vec4(dgates_h[j.x], dgates_h[j.y], dgates_h[j.z], dgates_h[j.w]);
                }
                workgroupBarrier(); // this chunk is complete
                for (var i = 0u; i < size; i++) {
                    sum = fma(vec4(w_hh[(base + i) * dim + mine]), chunk[i], sum);
                }
            }
            if (column < dim) {
                for (var i = 0u; i < rows; i++) {
                    // What a row that has ended reads in place of its own gradients is none of its.
                    if (t < length_of(first + i)) {
                        dh[(first + i) * dim + column] += sum[i];
                    }
                }
            }
        }
    }
}
