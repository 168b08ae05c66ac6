// One step of the gated recurrent unit, for serving: gru.wgsl has the formula.
// One thread per hidden column of 4 batch rows, which are the components of its vectors; limited by reading the weights.
struct Params { batch: u32, inputs: u32, dim: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;          // [batch, inputs]
@group(0) @binding(2) var<storage, read> h: array<f32>;          // [batch, dim]
@group(0) @binding(3) var<storage, read> w_ih: array<f32>;       // [3, dim, inputs]
@group(0) @binding(4) var<storage, read> w_hh: array<f32>;       // [3, dim, dim]
@group(0) @binding(5) var<storage, read> b_ih: array<f32>;       // [3, dim]
@group(0) @binding(6) var<storage, read> b_hh: array<f32>;       // [3, dim]
@group(0) @binding(7) var<storage, read_write> y: array<f32>;    // [batch, dim]

// include: gru
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 64u + thread;
    let dim = params.dim;
    let first = i / dim * 4u;
    let j = i % dim;
    if (first >= params.batch) {
        return;
    }
    let row = min(first + vec4(0u, 1u, 2u, 3u), vec4(params.batch - 1u));
    var r = vec4(b_ih[j] + b_hh[j]);
    var z = vec4(b_ih[dim + j] + b_hh[dim + j]);
    var n = vec4(b_ih[2u * dim + j]);
    var hn = vec4(b_hh[2u * dim + j]);
    let from_x = row * params.inputs;
    let plane_x = dim * params.inputs; // from one gate's weights to the next's
    for (var k = 0u; k < params.inputs; k++) {
        let v = vec4(x[from_x.x + k], x[from_x.y + k], x[from_x.z + k], x[from_x.w + k]);
        let at = j * params.inputs + k;
        r = fma(vec4(w_ih[at]), v, r);
        z = fma(vec4(w_ih[at + plane_x]), v, z);
        n = fma(vec4(w_ih[at + 2u * plane_x]), v, n);
    }
    let from_h = row * dim;
    for (var k = 0u; k < dim; k++) {
        let v = vec4(h[from_h.x + k], h[from_h.y + k], h[from_h.z + k], h[from_h.w + k]);
        let at = j * dim + k;
        r = fma(vec4(w_hh[at]), v, r);
        z = fma(vec4(w_hh[at + dim * dim]), v, z);
        hn = fma(vec4(w_hh[at + 2u * dim * dim]), v, hn);
    }
    let before = vec4(h[from_h.x + j], h[from_h.y + j], h[from_h.z + j], h[from_h.w + j]);
    n = tanh4(n + sigmoid4(r) * hn);
    let after = n + sigmoid4(z) * (before - n);
    for (var c = 0u; c < min(4u, params.batch - first); c++) {
        y[row[c] * dim + j] = after[c];
    }
}
