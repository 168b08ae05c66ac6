// Negative log-likelihood where a gate chooses between a catalogue, of which the target has exp(-nll), and a pointer, of
// which it has `mass`. Merity et al. 2017, https://arxiv.org/abs/1609.07843
//   y = -log(s(-gate) * exp(-nll) + s(gate) * mass),   as a log of a sum of exp: no share underflows
// One thread per element; bound by memory.
// include: mixture
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> nll: array<f32>;        // [n]
@group(0) @binding(2) var<storage, read> gate: array<f32>;       // [n]
@group(0) @binding(3) var<storage, read> mass: array<f32>;       // [n]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;    // [n]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i < params.n) {
        y[i] = loss_of(shares_of(nll[i], gate[i], mass[i]));
    }
}
