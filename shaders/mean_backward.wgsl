// Gradient of a mean: dx = dy * scale, the same for every element.
// One thread per element; bound by memory.
struct Params { n: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;            // [1]
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;      // [n]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i < params.n) {
        dx[i] = dy[0] * params.scale;
    }
}
