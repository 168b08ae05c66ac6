// Gradient of the mixture. With r the pointer's share s(gate) * mass / p of the probability p = exp(-y):
//   dnll = dy * (1 - r),  dgate = dy * (s(gate) - r),  dmass = -dy * s(gate) / p,   all from logs
// One thread per element; bound by memory.
// include: mixture
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> nll: array<f32>;          // [n]
@group(0) @binding(2) var<storage, read> gate: array<f32>;         // [n]
@group(0) @binding(3) var<storage, read> mass: array<f32>;         // [n]
@group(0) @binding(4) var<storage, read> dy: array<f32>;           // [n]
@group(0) @binding(5) var<storage, read_write> dnll: array<f32>;   // [n]
@group(0) @binding(6) var<storage, read_write> dgate: array<f32>;  // [n]
@group(0) @binding(7) var<storage, read_write> dmass: array<f32>;  // [n]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i < params.n) {
        let shares = shares_of(nll[i], gate[i], mass[i]);
        let loss = loss_of(shares);
        let gated = -softplus(-gate[i]);
        dnll[i] = dy[i] * exp(shares.x + loss);
        dgate[i] = dy[i] * (exp(gated) - exp(shares.y + loss));
        // Beyond 80 the exponential overflows: so small a p pulls no harder than one of exp(-80).
        dmass[i] = -dy[i] * exp(min(gated + loss, 80.0));
    }
}
