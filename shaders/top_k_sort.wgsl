// Puts what was selected in order: score descending, then id ascending.
// One thread per result counts what comes before it; k is at most about a thousand. Bound by cache.
struct Params { queries: u32, k: u32, found: u32, chosen: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> index: array<u32>;          // [queries, found] candidates, ascending
@group(0) @binding(2) var<storage, read> keys: array<u32>;           // [queries, found]
@group(0) @binding(3) var<storage, read> chosen: array<u32>;         // [queries, chosen] groups of 64 candidates
@group(0) @binding(4) var<storage, read_write> scores: array<f32>;   // [queries, k]
@group(0) @binding(5) var<storage, read_write> ids: array<u32>;      // [queries, k]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) block: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let q = block.y;
    let i = block.x * 64u + thread;
    if (i >= params.k) {
        return;
    }
    var place = i;
    var key = 0u;
    if (i < params.found) {
        key = keys[q * params.found + i];
        place = 0u;
        for (var j = 0u; j < params.found; j++) {
            let other = keys[q * params.found + j];
            place += select(0u, 1u, other > key || (other == key && j < i));
        }
    }
    var id = 0xffffffffu;
    if (key != 0u) {
        let candidate = index[q * params.found + i];
        id = chosen[q * params.chosen + candidate / 64u] * 64u + candidate % 64u;
    }
    scores[q * params.k + place] = score_of(key);
    ids[q * params.k + place] = id;
}
// include: score_key
