// How large the operands of a matrix product are, before mixed precision scales them into the range of f16.
//   range[0, g] = the largest |a| in the g-th part of a,   range[1, g] of b
// One workgroup per part; bound by memory. A maximum is the same in any order.
const PIECES: u32 = 256u;
struct Params { n_a: u32, n_b: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;              // [n_a]
@group(0) @binding(2) var<storage, read> b: array<f32>;              // [n_b]
@group(0) @binding(3) var<storage, read_write> range: array<f32>;    // [2, PIECES]

var<workgroup> largest: array<f32, 256>;

fn size_at(i: u32, of_b: bool, n: u32) -> f32 {
    if (i >= n) {
        return 0.0;
    }
    if (of_b) {
        return abs(b[i]);
    }
    return abs(a[i]);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let of_b = group.x >= PIECES;
    let n = select(params.n_a, params.n_b, of_b);
    var most = 0.0;
    for (var i = group.x % PIECES * 1024u + thread; i < n; i += PIECES * 1024u) {
        let near = max(size_at(i, of_b, n), size_at(i + 256u, of_b, n));
        let far = max(size_at(i + 512u, of_b, n), size_at(i + 768u, of_b, n));
        most = max(most, max(near, far));
    }
    largest[thread] = most;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (thread < half) {
            largest[thread] = max(largest[thread], largest[thread + half]);
        }
        workgroupBarrier();
    }
    if (thread == 0u) {
        range[group.x] = largest[0];
    }
}
