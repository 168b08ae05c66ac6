// One bit per query and item for what its list excludes.
// One workgroup per query; bound by memory.
const KEEP: u32 = 0u;    // 1: never exclude `keep`
struct Params { queries: u32, base: u32, groups: u32, items: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> offsets: array<u32>;               // [queries + 1]
@group(0) @binding(2) var<storage, read> ids: array<u32>;                   // entry `base` first
@group(0) @binding(3) var<storage, read> keep: array<u32>;                  // [queries]
@group(0) @binding(4) var<storage, read_write> mask: array<atomic<u32>>;    // [queries, 2 groups], zero before

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let q = group.y * groups.x + group.x;
    if (q >= params.queries) {
        return;
    }
    let end = offsets[q + 1u] - params.base;
    for (var i = offsets[q] - params.base + thread; i < end; i += 64u) {
        let id = ids[i];
        if (id < params.items && (KEEP == 0u || id != keep[q])) {
            atomicOr(&mask[q * 2u * params.groups + id / 32u], 1u << (id % 32u));
        }
    }
}
