// First step of the gradient of attention: delta_i = dy_i . y_i for each head, which is what the softmax's gradient
// subtracts. Dao et al. 2022, https://arxiv.org/abs/2205.14135
// One thread per (batch, head, query); bound by memory.
struct Params { batch: u32, len: u32, heads: u32, head_dim: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> lengths: array<u32>;         // [batch]
@group(0) @binding(2) var<storage, read> y: array<vec4<f32>>;         // [batch, len, dim]
@group(0) @binding(3) var<storage, read> dy: array<vec4<f32>>;        // [batch, len, dim]
@group(0) @binding(4) var<storage, read_write> stats: array<f32>;     // [2, batch, heads, len]: the second half

// include: lengths
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let n = params.batch * params.heads * params.len;
    let at = (id.y * groups.x + id.x) * 64u + thread;
    if (at >= n) {
        return;
    }
    let pair = at / params.len;
    let i = at % params.len;
    let batch = pair / params.heads;
    let width = params.head_dim / 4u;
    let row = ((begin_of(batch) + i) * params.heads + pair % params.heads) * width;
    var sum = 0.0;
    if (i < length_at(batch)) {
        for (var d = 0u; d < width; d++) {
            sum += dot(y[row + d], dy[row + d]);
        }
    }
    stats[n + at] = sum;
}
