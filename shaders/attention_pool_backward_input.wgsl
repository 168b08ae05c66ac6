// Gradients of attention_pool from those of its scores: dx_t = direct_t + ds_t w, and each row's share of dw = sum ds_t x_t.
// One thread per (batch, dim) walks along the sequence, so the order of the sum is fixed. Bound by memory.
struct Params { batch: u32, len: u32, dim: u32, events: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;              // [batch, len, dim]
@group(0) @binding(2) var<storage, read> w: array<f32>;              // [dim]
@group(0) @binding(3) var<storage, read> lengths: array<u32>;        // [batch]
@group(0) @binding(4) var<storage, read> ds: array<f32>;             // [batch, len]
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;       // [batch, len, dim]: holds `direct`
@group(0) @binding(6) var<storage, read_write> shares: array<f32>;   // [batch, dim]

// include: lengths
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let at = (id.y * groups.x + id.x) * 64u + thread;
    if (at >= params.batch * params.dim) {
        return;
    }
    let batch = at / params.dim;
    let d = at % params.dim;
    var share = 0.0;
    for (var t = 0u; t < length_at(batch); t++) {
        let row = begin_of(batch) + t;
        dx[row * params.dim + d] += ds[row] * w[d];
        share += ds[row] * x[row * params.dim + d];
    }
    shares[at] = share;
}
