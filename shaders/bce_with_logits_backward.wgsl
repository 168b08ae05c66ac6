// Gradient of the binary cross-entropy with respect to the logit: dz = dy * (1 / (1 + exp(-z)) - t).
// One thread per element; bound by memory.
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;        // [n]
@group(0) @binding(2) var<storage, read> targets: array<f32>;       // [n]
@group(0) @binding(3) var<storage, read> dy: array<f32>;            // [n]
@group(0) @binding(4) var<storage, read_write> dlogits: array<f32>; // [n]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i < params.n) {
        let z = logits[i];
        let e = exp(-abs(z)); // never above 1
        let probability = select(e, 1.0, z >= 0.0) / (1.0 + e);
        dlogits[i] = dy[i] * (probability - targets[i]);
    }
}
