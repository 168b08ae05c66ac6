// One line through many numbers: y = w x + b, with w and b of one number each.
// One thread per element; bound by memory.
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;         // [n]
@group(0) @binding(2) var<storage, read> w: array<f32>;         // [1]
@group(0) @binding(3) var<storage, read> b: array<f32>;         // [1]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;   // [n]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i < params.n) {
        y[i] = w[0] * x[i] + b[0];
    }
}
