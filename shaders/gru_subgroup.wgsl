// Gated recurrent unit over time: see gru.wgsl for the formula. The variant for drivers on the CPU.
// One subgroup per workgroup; a workgroup takes 16 batch rows through all steps. Each lane owns four hidden columns at
// a time and the three gates of all 16 rows there, so a weight is loaded once per step and used 16 times; a lane loads
// the state of one row and hands it to the others. No workgroup memory: such drivers pay for loads, not arithmetic.
// Needs a subgroup of at least 8 and dim a multiple of 4; limited by the loads of w_hh.
struct Params { batch: u32, len: u32, dim: u32, start: u32, end: u32, ragged: u32, from_h0: u32, slots: u32, hn_at: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> gates: array<vec4<f32>>;    // [batch, len, 3, dim / 4]: in x W_ih, out r z n
@group(0) @binding(2) var<storage, read> w_hh: array<vec4<f32>>;           // [3, dim, dim / 4]
@group(0) @binding(3) var<storage, read> b_ih: array<vec4<f32>>;           // [3, dim / 4]
@group(0) @binding(4) var<storage, read> b_hh: array<vec4<f32>>;           // [3, dim / 4]
@group(0) @binding(5) var<storage, read> h0: array<vec4<f32>>;             // [batch, dim / 4]
@group(0) @binding(6) var<storage, read> lengths: array<u32>;              // [batch]
@group(0) @binding(7) var<storage, read_write> y: array<vec4<f32>>;        // [batch, len, dim / 4]
@group(0) @binding(8) var<storage, read_write> saved: array<vec4<f32>>;    // states [batch, slots, dim / 4], then hn

// include: gru
// include: lengths
// include: gru_rows
const ROWS: u32 = 16u;

// Where the state before step t is: every step has its slot for the backward pass, or two take turns.
fn state_at(row: u32, t: u32) -> u32 {
    if (params.slots == params.len) {
        return event(row, t) * (params.dim / 4u);
    }
    return (row * params.slots + (t & 1u)) * (params.dim / 4u);
}

fn mac(acc: vec4<f32>, w: mat4x4<f32>, h: vec4<f32>) -> vec4<f32> {
    return fma(w[0], vec4(h.x), fma(w[1], vec4(h.y), fma(w[2], vec4(h.z), fma(w[3], vec4(h.w), acc))));
}

fn mac4(acc: mat4x4<f32>, w: mat4x4<f32>, h: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4(mac(acc[0], w, h[0]), mac(acc[1], w, h[1]), mac(acc[2], w, h[2]), mac(acc[3], w, h[3]));
}

fn weights(gate: u32, column: u32, k: u32) -> mat4x4<f32> {
    let quarter = params.dim / 4u;
    let at = (gate * params.dim + 4u * column) * quarter + k;
    return transpose(mat4x4(w_hh[at], w_hh[at + quarter], w_hh[at + 2u * quarter], w_hh[at + 3u * quarter]));
}

fn finish(row: u32, t: u32, column: u32, r_in: vec4<f32>, z_in: vec4<f32>, hn: vec4<f32>, b_n: vec4<f32>) {
    if (row >= params.batch) {
        return;
    }
    let length = length_of(row);
    if (t >= room(length)) {
        return;
    }
    let quarter = params.dim / 4u;
    let position = event(row, t);
    let at = position * 3u * quarter + column;
    var h = vec4(0.0);
    if (t < length) {
        let r = sigmoid4(gates[at] + r_in);
        let z = sigmoid4(gates[at + quarter] + z_in);
        let n = tanh4(gates[at + 2u * quarter] + b_n + r * hn);
        h = n + z * (saved[state_at(row, t) + column] - n);
        if (params.hn_at != 0u) {
            gates[at] = r;
            gates[at + quarter] = z;
            gates[at + 2u * quarter] = n;
            saved[params.hn_at / 4u + position * quarter + column] = hn;
        }
    }
    y[position * quarter + column] = h;
    if (t + 1u < room(length)) {
        saved[state_at(row, t + 1u) + column] = h;
    }
}

fn finish4(row: u32, t: u32, column: u32, r: mat4x4<f32>, z: mat4x4<f32>, n: mat4x4<f32>, b_n: vec4<f32>) {
    finish(row, t, column, r[0], z[0], n[0], b_n);
    finish(row + 1u, t, column, r[1], z[1], n[1], b_n);
    finish(row + 2u, t, column, r[2], z[2], n[2], b_n);
    finish(row + 3u, t, column, r[3], z[3], n[3], b_n);
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let first = (group.y * groups.x + group.x) * ROWS;
    let quarter = params.dim / 4u;
    var longest = 0u;
    for (var i = 0u; i < ROWS; i++) {
        longest = max(longest, length_of(first + i));
        if (params.start == 0u && first + i < params.batch && room(length_of(first + i)) > 0u) {
            for (var column = lane; column < quarter; column += 8u) {
                var h = vec4(0.0);
                if (params.from_h0 != 0u) {
                    h = h0[(first + i) * quarter + column];
                }
                saved[state_at(first + i, 0u) + column] = h;
            }
        }
    }
    let row = min(first + lane, params.batch - 1u);
    let row8 = min(first + lane + 8u, params.batch - 1u);
    for (var t = params.start; t < min(params.end, room(longest)); t++) {
        storageBarrier(); // the states before this step are complete
        let low_at = state_at(row, t);
        let high_at = state_at(row8, t);
        for (var block = 0u; block < quarter; block += 8u) {
            let column = min(block + lane, quarter - 1u);
            let b_r = b_ih[column] + b_hh[column];
            let b_z = b_ih[quarter + column] + b_hh[quarter + column];
            let b_hn = b_hh[2u * quarter + column];
            var r0 = mat4x4(b_r, b_r, b_r, b_r);
            var z0 = mat4x4(b_z, b_z, b_z, b_z);
            var n0 = mat4x4(b_hn, b_hn, b_hn, b_hn);
            var r1 = r0; var r2 = r0; var r3 = r0;
            var z1 = z0; var z2 = z0; var z3 = z0;
            var n1 = n0; var n2 = n0; var n3 = n0;
            let steps = select(quarter, 0u, t >= longest); // nobody is left: only zeros to write
            for (var k = 0u; k < steps; k++) {
                let low = saved[low_at + k];
                let high = saved[high_at + k];
                let a = mat4x4(subgroupBroadcast(low, 0u), subgroupBroadcast(low, 1u), subgroupBroadcast(low, 2u), subgroupBroadcast(low, 3u));
                let b = mat4x4(subgroupBroadcast(low, 4u), subgroupBroadcast(low, 5u), subgroupBroadcast(low, 6u), subgroupBroadcast(low, 7u));
                let c = mat4x4(subgroupBroadcast(high, 0u), subgroupBroadcast(high, 1u), subgroupBroadcast(high, 2u), subgroupBroadcast(high, 3u));
                let d = mat4x4(subgroupBroadcast(high, 4u), subgroupBroadcast(high, 5u), subgroupBroadcast(high, 6u), subgroupBroadcast(high, 7u));
                var w = weights(0u, column, k);
                r0 = mac4(r0, w, a); r1 = mac4(r1, w, b); r2 = mac4(r2, w, c); r3 = mac4(r3, w, d);
                w = weights(1u, column, k);
                z0 = mac4(z0, w, a); z1 = mac4(z1, w, b); z2 = mac4(z2, w, c); z3 = mac4(z3, w, d);
                w = weights(2u, column, k);
                n0 = mac4(n0, w, a); n1 = mac4(n1, w, b); n2 = mac4(n2, w, c); n3 = mac4(n3, w, d);
            }
            if (block + lane < quarter) {
                let b_n = b_ih[2u * quarter + column];
                finish4(first, t, column, r0, z0, n0, b_n);
                finish4(first + 4u, t, column, r1, z1, n1, b_n);
                finish4(first + 8u, t, column, r2, z2, n2, b_n);
                finish4(first + 12u, t, column, r3, z3, n3, b_n);
            }
        }
    }
}
