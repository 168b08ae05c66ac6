// Gradient of the bias: sums of columns, over one block of rows per y. Run again on its own output, with all blocks as
// one, it gives the total; the order of additions is fixed.
// One thread per column and block; bound by memory.
const ACCUMULATE: u32 = 0u;
struct Params { rows: u32, items: u32, block: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dlogits: array<f32>;         // [rows, items]
@group(0) @binding(2) var<storage, read_write> dbias: array<f32>;     // [rows / block, items]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let i = group.x * 64u + thread;
    if (i >= params.items) {
        return;
    }
    let end = min((group.y + 1u) * params.block, params.rows);
    var row = group.y * params.block;
    var sums = vec4(0.0);
    for (; row + 3u < end; row += 4u) {
        let at = row * params.items + i;
        sums += vec4(dlogits[at], dlogits[at + params.items], dlogits[at + 2u * params.items],
            dlogits[at + 3u * params.items]);
    }
    for (; row < end; row++) {
        sums.x += dlogits[row * params.items + i];
    }
    let sum = (sums.x + sums.y) + (sums.z + sums.w);
    let at = group.y * params.items + i;
    if (ACCUMULATE == 1u) {
        dbias[at] += sum;
    } else {
        dbias[at] = sum;
    }
}
