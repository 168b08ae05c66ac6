// Gradient of the gated recurrent unit, backwards in time: see gru_backward.wgsl for the formula. The variant for
// drivers on the CPU.
// One subgroup per workgroup; a workgroup takes 16 batch rows through all steps. Each lane owns two times four hidden
// columns at a time; it loads the gate gradients of one row and hands them to the others, as gru_subgroup.wgsl does.
// Needs a subgroup of at least 8 and dim a multiple of 4; limited by the loads of w_hh.
struct Params { batch: u32, len: u32, dim: u32, start: u32, end: u32, ragged: u32, hn_at: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;             // [batch, len, dim / 4]
@group(0) @binding(2) var<storage, read_write> gates: array<vec4<f32>>;    // [batch, len, 3, dim / 4]: in r z n, out dgates_x
@group(0) @binding(3) var<storage, read> saved: array<vec4<f32>>;          // states [batch, len, dim / 4], then hn
@group(0) @binding(4) var<storage, read> w_hh: array<vec4<f32>>;           // [3, dim, dim / 4]
@group(0) @binding(5) var<storage, read> lengths: array<u32>;              // [batch]
@group(0) @binding(6) var<storage, read_write> dgates_h: array<vec4<f32>>; // [batch, len, 3, dim / 4]
@group(0) @binding(7) var<storage, read_write> dh: array<vec4<f32>>;       // [batch, dim / 4]: in and out the running sum

const ROWS: u32 = 16u;

// include: lengths
// include: gru_rows

fn mac(acc: vec4<f32>, w: mat4x4<f32>, h: vec4<f32>) -> vec4<f32> {
    return fma(w[0], vec4(h.x), fma(w[1], vec4(h.y), fma(w[2], vec4(h.z), fma(w[3], vec4(h.w), acc))));
}

fn mac4(acc: mat4x4<f32>, w: mat4x4<f32>, h: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4(mac(acc[0], w, h[0]), mac(acc[1], w, h[1]), mac(acc[2], w, h[2]), mac(acc[3], w, h[3]));
}

fn weights(j: u32, column: u32) -> mat4x4<f32> {
    let quarter = params.dim / 4u;
    let at = 4u * j * quarter + column;
    return mat4x4(w_hh[at], w_hh[at + quarter], w_hh[at + 2u * quarter], w_hh[at + 3u * quarter]);
}

// Gate gradients of one row at step t; the part of the state's gradient that passes by the gates goes to dh.
fn through_gates(row: u32, t: u32, column: u32) {
    let quarter = params.dim / 4u;
    let length = length_of(row);
    if (t >= room(length)) {
        return;
    }
    let position = event(row, t);
    let at = position * 3u * quarter + column;
    var dr = vec4(0.0);
    var dz = vec4(0.0);
    var dn = vec4(0.0);
    var dn_h = vec4(0.0);
    if (t < length) {
        let r = gates[at];
        let z = gates[at + quarter];
        let n = gates[at + 2u * quarter];
        let own = position * quarter + column;
        let d = dy[own] + dh[row * quarter + column];
        dn = d * (1.0 - z) * (1.0 - n * n);
        dz = d * (saved[own] - n) * z * (1.0 - z);
        dr = dn * saved[params.hn_at / 4u + own] * r * (1.0 - r);
        dn_h = dn * r;
        dh[row * quarter + column] = d * z;
    }
    gates[at] = dr;
    gates[at + quarter] = dz;
    gates[at + 2u * quarter] = dn;
    dgates_h[at] = dr;
    dgates_h[at + quarter] = dz;
    dgates_h[at + 2u * quarter] = dn_h;
}

// What a row that has ended reads in place of its own gradients is none of its.
fn add(row: u32, t: u32, column: u32, v: vec4<f32>) {
    if (t < length_of(row)) {
        dh[row * (params.dim / 4u) + column] += v;
    }
}

fn add4(row: u32, t: u32, column: u32, m: mat4x4<f32>) {
    if (column < params.dim / 4u) {
        add(row, t, column, m[0]);
        add(row + 1u, t, column, m[1]);
        add(row + 2u, t, column, m[2]);
        add(row + 3u, t, column, m[3]);
    }
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let first = (group.y * groups.x + group.x) * ROWS;
    let quarter = params.dim / 4u;
    var longest = 0u;
    for (var i = 0u; i < ROWS; i++) {
        longest = max(longest, length_of(first + i));
    }
    let rows = min(ROWS, params.batch - first);
    let row = min(first + lane, params.batch - 1u);
    let row8 = min(first + lane + 8u, params.batch - 1u);
    for (var t = min(params.end, room(longest)); t > params.start; ) {
        t--;
        for (var i = 0u; i < rows; i++) {
            for (var column = lane; column < quarter; column += 8u) {
                through_gates(first + i, t, column);
            }
        }
        if (t >= longest) {
            continue;
        }
        storageBarrier(); // this step's gate gradients are complete
        let at = event(row, t) * 3u * quarter;
        let at8 = event(row8, t) * 3u * quarter;
        for (var block = 0u; block < quarter; block += 16u) {
            let left = min(block + lane, quarter - 1u);
            let right = min(block + lane + 8u, quarter - 1u);
            var l0 = mat4x4<f32>(); var l1 = mat4x4<f32>(); var l2 = mat4x4<f32>(); var l3 = mat4x4<f32>();
            var r0 = mat4x4<f32>(); var r1 = mat4x4<f32>(); var r2 = mat4x4<f32>(); var r3 = mat4x4<f32>();
            for (var j = 0u; j < 3u * quarter; j++) {
                let low = dgates_h[at + j];
                let high = dgates_h[at8 + j];
                let a = mat4x4(subgroupBroadcast(low, 0u), subgroupBroadcast(low, 1u), subgroupBroadcast(low, 2u), subgroupBroadcast(low, 3u));
                let b = mat4x4(subgroupBroadcast(low, 4u), subgroupBroadcast(low, 5u), subgroupBroadcast(low, 6u), subgroupBroadcast(low, 7u));
                let c = mat4x4(subgroupBroadcast(high, 0u), subgroupBroadcast(high, 1u), subgroupBroadcast(high, 2u), subgroupBroadcast(high, 3u));
                let d = mat4x4(subgroupBroadcast(high, 4u), subgroupBroadcast(high, 5u), subgroupBroadcast(high, 6u), subgroupBroadcast(high, 7u));
                var w = weights(j, left);
                l0 = mac4(l0, w, a); l1 = mac4(l1, w, b); l2 = mac4(l2, w, c); l3 = mac4(l3, w, d);
                w = weights(j, right);
                r0 = mac4(r0, w, a); r1 = mac4(r1, w, b); r2 = mac4(r2, w, c); r3 = mac4(r3, w, d);
            }
            add4(first, t, block + lane, l0); add4(first + 4u, t, block + lane, l1);
            add4(first + 8u, t, block + lane, l2); add4(first + 12u, t, block + lane, l3);
            add4(first, t, block + lane + 8u, r0); add4(first + 4u, t, block + lane + 8u, r1);
            add4(first + 8u, t, block + lane + 8u, r2); add4(first + 12u, t, block + lane + 8u, r3);
        }
    }
}
