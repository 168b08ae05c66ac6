// Backwards through the activation of a linear layer: dz = dy * slope(z).
// One thread per element; bound by memory.
const ACT: u32 = 0u;
// include: activation
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;         // [n]
@group(0) @binding(2) var<storage, read> z: array<f32>;          // [n], before the activation
@group(0) @binding(3) var<storage, read_write> dz: array<f32>;   // [n]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i < params.n) {
        dz[i] = dy[i] * activate_slope(ACT, z[i]);
    }
}
