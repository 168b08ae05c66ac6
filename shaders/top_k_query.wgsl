// Queries as the other kernels of top_k read them: rows of whole vec4 with zeros behind `dim`. For a table of int8 they
// are rounded to whole numbers of at most 127, and what one is worth stands behind them: nothing that is a number where
// one of them is none, so that no score is.
// One workgroup per query; bound by latency.
const FORMAT: u32 = 0u;    // of the table: 0 f32, 1 f16, 2 int8
const INFINITY: u32 = 0x7f800000u;
const NAN: u32 = 0x7fc00000u;
struct Params { queries: u32, dim: u32, width: u32, stride: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> query: array<f32>;            // [queries, dim]
@group(0) @binding(2) var<storage, read_write> rows: array<f32>;       // [queries, stride], stride = width + 4

var<workgroup> largest: array<u32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let q = group.y * groups.x + group.x;
    if (q >= params.queries) {
        return;
    }
    // As bits, of which those of infinity and NaN are the largest: of numbers they would go unnoticed.
    var most_bits = 0u;
    for (var k = thread; k < params.dim; k += 64u) {
        most_bits = max(most_bits, bitcast<u32>(query[q * params.dim + k]) & 0x7fffffffu);
    }
    largest[thread] = most_bits;
    workgroupBarrier();
    for (var i = 0u; i < 64u; i++) {
        most_bits = max(most_bits, largest[i]);
    }
    let finite = most_bits < INFINITY;
    let most = bitcast<f32>(select(0u, most_bits, finite));
    let inverse = select(127.0 / most, 0.0, most < 1e-30);
    for (var k = thread; k < params.stride; k += 64u) {
        var v = 0.0;
        if (k < params.dim) {
            v = query[q * params.dim + k];
            if (FORMAT == 2u) {
                v = select(0.0, clamp(round(v * inverse), -127.0, 127.0), finite);
            }
        }
        if (FORMAT == 2u && k == params.width) {
            v = bitcast<f32>(select(NAN, bitcast<u32>(most / 127.0), finite));
        }
        rows[q * params.stride + k] = v;
    }
}
