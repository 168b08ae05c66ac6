// Binary cross-entropy of a logit z and a target t in [0, 1]: -t * log(s(z)) - (1 - t) * log(1 - s(z)), which is
//   y = max(z, 0) - z * t + log(1 + exp(-|z|)),   no exponential of anything positive.
// One thread per element; bound by memory.
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;     // [n]
@group(0) @binding(2) var<storage, read> targets: array<f32>;    // [n]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;    // [n]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i < params.n) {
        let z = logits[i];
        let e = exp(-abs(z));
        // log(1 + e) keeps nothing of a small e; its series does.
        let tail = select(log(1.0 + e), e * (1.0 - 0.5 * e), e < 1e-3);
        y[i] = max(z, 0.0) - z * targets[i] + tail;
    }
}
