// Gradient of paired inner products with respect to one side: each row of the other side times its dy.
//   da[r, c] = dy[r] * b[r, c]
// One thread per element; bound by memory.
struct Params { rows: u32, dim: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b: array<f32>;          // [rows, dim]
@group(0) @binding(2) var<storage, read> dy: array<f32>;         // [rows]
@group(0) @binding(3) var<storage, read_write> da: array<f32>;   // [rows, dim]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i < params.rows * params.dim) {
        da[i] = b[i] * dy[i / params.dim];
    }
}
