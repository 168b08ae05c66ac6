// What the kernels of the pointer share: one head, causal, without dropout. They bind `qk`.
const IGNORE: u32 = 0xffffffffu;

// What the forward pass keeps of an event as `vec4<u32>`: its item, its target (IGNORE also behind the length), and the
// bits of two numbers: the log of the sum of exp, and the mass.
fn lse_of(kept: vec4<u32>) -> f32 { return bitcast<f32>(kept.z); }
fn mass_of(kept: vec4<u32>) -> f32 { return bitcast<f32>(kept.w); }

fn kept_of(item: u32, wanted: u32, lse: f32, mass: f32, valid: bool) -> vec4<u32> {
    return select(vec4(0u, IGNORE, 0u, 0u), vec4(item, wanted, bitcast<u32>(lse), bitcast<u32>(mass)), valid);
}

// The upstream gradient of a row; none where nothing is wanted, whatever memory holds there.
fn upstream(kept: vec4<u32>, dy: f32) -> f32 { return select(dy, 0.0, kept.y == IGNORE); }

// A row of `qk` is a query and a key: where each begins.
const QUERY: u32 = 0u;
const KEY: u32 = HD4;
fn load_half(row: u32, half: u32, x: ptr<function, Row>) {
    for (var d = 0u; d < HD4; d++) {
        (*x)[d] = qk[row * 2u * HD4 + half + d];
    }
}
