// One step of Adam with decoupled weight decay. Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101
//   g = clip * gradient,   m = beta1 * m + (1 - beta1) * g,   v = beta2 * v + (1 - beta2) * g²
//   p = p - lr * decay * p - step * m / (sqrt(v) * root + eps)
// with step = lr / (1 - beta1^t) and root = 1 / sqrt(1 - beta2^t). A clip of 0 (not a finite norm) skips the step.
// One thread per Element; bound by memory. Up to five parameters that share their memory go in one dispatch: the
// workgroups of one follow those of the other.
struct Params {
    step: f32, root: f32, beta1: f32, beta2: f32, eps: f32,
    segments: array<vec4<u32>, 5>,  // each: Elements, first Element in parameter and in moments, first workgroup
    keeps: array<vec4<f32>, 2>,     // 1 - lr * decay of each
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradient: array<Element>;           // [n] of the first segment
@group(0) @binding(2) var<storage, read> gradient1: array<Element>;
@group(0) @binding(3) var<storage, read> gradient2: array<Element>;
@group(0) @binding(4) var<storage, read> gradient3: array<Element>;
@group(0) @binding(5) var<storage, read> gradient4: array<Element>;
@group(0) @binding(6) var<storage, read> clip: array<f32>;               // [1 ..], the factor first; unused without CLIP
@group(0) @binding(7) var<storage, read_write> parameter: array<Element>;    // [n] of each segment
@group(0) @binding(8) var<storage, read_write> moments: array<Element>;     // [n, 2] of each: m, v

// include: element
const CLIP: u32 = 1u;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let block = group.y * groups.x + group.x;
    var s = 0u;
    for (var k = 1u; k < 5u; k++) {
        s += u32(block >= params.segments[k].w);
    }
    let segment = params.segments[s];
    let i = (block - segment.w) * 256u + thread;
    if (i >= segment.x) {
        return;
    }
    var g = gradient_of(s, i);
    if (CLIP == 1u) {
        let factor = clip[0];
        if (factor == 0.0) {
            return;
        }
        g *= factor;
    }
    let at = segment.z + 2u * i;
    var m = moments[at];
    var v = moments[at + 1u];
    m += (1.0 - params.beta1) * (g - m);
    v += (1.0 - params.beta2) * (g * g - v);
    moments[at] = m;
    moments[at + 1u] = v;
    let p = segment.y + i;
    parameter[p] = parameter[p] * params.keeps[s / 4u][s % 4u] - params.step * m / (sqrt(v) * params.root + params.eps);
}

fn gradient_of(s: u32, i: u32) -> Element {
    switch s {
        case 0u: { return gradient[i]; }
        case 1u: { return gradient1[i]; }
        case 2u: { return gradient2[i]; }
        case 3u: { return gradient3[i]; }
        default: { return gradient4[i]; }
    }
}
