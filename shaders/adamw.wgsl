// One step of Adam with decoupled weight decay. Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101
//   g = clip * gradient,   m = beta1 * m + (1 - beta1) * g,   v = beta2 * v + (1 - beta2) * g²
//   p = p - lr * decay * p - step * m / (sqrt(v) * root + eps)
// with step = lr / (1 - beta1^t) and root = 1 / sqrt(1 - beta2^t). A clip of 0 (not a finite norm) skips the step.
// One thread per element; bound by memory.
struct Params { n: u32, step: f32, root: f32, beta1: f32, beta2: f32, eps: f32, keep: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;           // [n]
@group(0) @binding(2) var<storage, read> clip: array<f32>;               // [1 ..], the factor first; unused without CLIP
@group(0) @binding(3) var<storage, read_write> parameter: array<f32>;    // [n]
@group(0) @binding(4) var<storage, read_write> moments: array<vec2<f32>>; // [n]: m, v

const CLIP: u32 = 1u;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i >= params.n) {
        return;
    }
    var g = gradient[i];
    if (CLIP == 1u) {
        let factor = clip[0];
        if (factor == 0.0) {
            return;
        }
        g *= factor;
    }
    let old = moments[i];
    let m = old.x + (1.0 - params.beta1) * (g - old.x);
    let v = old.y + (1.0 - params.beta2) * (g * g - old.y);
    moments[i] = vec2(m, v);
    parameter[i] = parameter[i] * params.keep - params.step * m / (sqrt(v) * params.root + params.eps);
}
