// Gated recurrent unit over time, reset after the product. Cho et al. 2014, https://arxiv.org/abs/1406.1078
//   r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)        z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
//   n = tanh(W_in x + b_in + r * (W_hn h + b_hn))     h' = (1 - z) * n + z * h
// W_i x of all steps comes in as `gates`. Rows end at their length: y is 0 from there on.
// One workgroup takes 4 batch rows through all steps; a thread owns one hidden column (and every WIDTH-th after it), the
// rows are the components of its vectors. The state passes through workgroup memory in chunks. Limited by reading
// w_hh from the cache once per step, and by how many groups of 4 rows there are.
struct Params { batch: u32, len: u32, dim: u32, start: u32, end: u32, ragged: u32, from_h0: u32, slots: u32, hn_at: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> gates: array<f32>;    // [batch, len, 3, dim]: in W_i x, out r z n
@group(0) @binding(2) var<storage, read> w_hh: array<f32>;           // [dim, 3, dim], transposed
@group(0) @binding(3) var<storage, read> b_ih: array<f32>;           // [3, dim]
@group(0) @binding(4) var<storage, read> b_hh: array<f32>;           // [3, dim]
@group(0) @binding(5) var<storage, read> h0: array<f32>;             // [batch, dim]
@group(0) @binding(6) var<storage, read> lengths: array<u32>;        // [batch]
@group(0) @binding(7) var<storage, read_write> y: array<f32>;        // [batch, len, dim]
@group(0) @binding(8) var<storage, read_write> saved: array<f32>;    // states [batch, slots, dim], then hn

// include: gru
// include: lengths
// include: gru_rows
const WIDTH: u32 = 64u;
const CHUNK: u32 = 256u;
var<workgroup> state: array<vec4<f32>, CHUNK>; // of the 4 rows, before this step

// Where the state before step t is: every step has its slot for the backward pass, or two take turns.
fn state_at(row: u32, t: u32) -> u32 {
    let real = min(row, params.batch - 1u);
    if (params.slots == params.len) {
        return event(real, t) * params.dim;
    }
    return (real * params.slots + (t & 1u)) * params.dim;
}

fn state4(first: u32, t: u32, column: u32) -> vec4<f32> {
    return vec4(saved[state_at(first, t) + column], saved[state_at(first + 1u, t) + column],
                saved[state_at(first + 2u, t) + column], saved[state_at(first + 3u, t) + column]);
}

fn finish(first: u32, t: u32, column: u32, r_in: vec4<f32>, z_in: vec4<f32>, hn: vec4<f32>) {
    let dim = params.dim;
    var x_r = vec4(0.0);
    var x_z = vec4(0.0);
    var x_n = vec4(0.0);
    for (var i = 0u; i < 4u; i++) {
        if (t < length_of(first + i)) {
            let at = event(first + i, t) * 3u * dim + column;
            x_r[i] = gates[at];
            x_z[i] = gates[at + dim];
            x_n[i] = gates[at + 2u * dim];
        }
    }
    let r = sigmoid4(x_r + r_in);
    let z = sigmoid4(x_z + z_in);
    let n = tanh4(x_n + b_ih[2u * dim + column] + r * hn);
    let h = n + z * (state4(first, t, column) - n);
    for (var i = 0u; i < min(4u, params.batch - first); i++) {
        let length = length_of(first + i);
        let alive = t < length;
        if (t >= room(length)) {
            continue;
        }
        let position = event(first + i, t);
        if (alive && params.hn_at != 0u) {
            let at = position * 3u * dim + column;
            gates[at] = r[i];
            gates[at + dim] = z[i];
            gates[at + 2u * dim] = n[i];
            saved[params.hn_at + position * dim + column] = hn[i];
        }
        let value = select(0.0, h[i], alive);
        y[position * dim + column] = value;
        if (t + 1u < room(length)) {
            saved[state_at(first + i, t + 1u) + column] = value;
        }
    }
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let first = (group.y * groups.x + group.x) * 4u;
    if (first >= params.batch) {
        return;
    }
    let dim = params.dim;
    var longest = 0u;
    for (var i = 0u; i < 4u; i++) {
        longest = max(longest, length_of(first + i));
        if (params.start == 0u && first + i < params.batch && room(length_of(first + i)) > 0u) {
            for (var column = thread; column < dim; column += WIDTH) {
                var h = 0.0;
                if (params.from_h0 != 0u) {
                    h = h0[(first + i) * dim + column];
                }
                saved[state_at(first + i, 0u) + column] = h;
            }
        }
    }
    for (var t = params.start; t < min(params.end, room(longest)); t++) {
        storageBarrier(); // the states before this step are complete
        for (var block = 0u; block < dim; block += WIDTH) {
            let column = block + thread;
            let mine = min(column, dim - 1u);
            var r = vec4(b_ih[mine] + b_hh[mine]);
            var z = vec4(b_ih[dim + mine] + b_hh[dim + mine]);
            var n = vec4(b_hh[2u * dim + mine]);
            let steps = select(dim, 0u, t >= longest); // nobody is left: only zeros to write
            for (var base = 0u; base < steps; base += CHUNK) {
                let size = min(CHUNK, dim - base);
                workgroupBarrier(); // the chunk before has been used by all
                for (var i = thread; i < size; i += WIDTH) {
                    state[i] = state4(first, t, base + i);
                }
                workgroupBarrier(); // this chunk is complete
                for (var i = 0u; i < size; i++) {
                    let at = (base + i) * 3u * dim + mine;
                    let h = state[i];
                    r = fma(vec4(w_hh[at]), h, r);
                    z = fma(vec4(w_hh[at + dim]), h, z);
                    n = fma(vec4(w_hh[at + 2u * dim]), h, n);
                }
            }
            if (column < dim) {
                finish(first, t, column, r, z, n);
            }
        }
    }
}
