// Gradient of attention with respect to the queries and the bias table.
//   p = exp(score - lse),  ds_ij = p_ij (keep_ij dy_i . v_j - delta_i),  dq_i = scale sum_j ds_ij k_j,  dbias_ij = ds_ij
// One workgroup per (batch, head, group); it takes every `groups`-th 64 queries, one query per thread; keys and values
// in tiles as in attention.wgsl. Probabilities are computed anew. Bound by arithmetic and reads of workgroup memory.
// include: random
// include: spacetime
// include: attention
// include: lengths
// include: attention_row
// include: attention_tile
@group(0) @binding(1) var<storage, read> qkv: array<vec4<f32>>;        // [batch, len, 3 * dim]
@group(0) @binding(2) var<storage, read> lengths: array<u32>;          // [batch]
@group(0) @binding(3) var<storage, read> context: array<vec4<u32>>;    // [batch, len, 12]
@group(0) @binding(4) var<storage, read> table: array<f32>;            // [heads, n]
@group(0) @binding(5) var<storage, read> stats: array<f32>;            // [2, batch, heads, len]: lse, delta
@group(0) @binding(6) var<storage, read> dy: array<vec4<f32>>;         // [batch, len, dim]
@group(0) @binding(7) var<storage, read_write> dqkv: array<vec4<f32>>; // [batch, len, 3 * dim]: the queries' third
// include: attention_bins

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let group = id.y * groups.x + id.x;
    let slot = group / params.groups;
    if (slot >= params.batches * params.heads) {
        return;
    }
    let pair = params.first_batch * params.heads + slot;
    let own = (group * 64u + thread) * table_bins();
    if (TABLE == 1u) {
        clear(own, table_bins());
    }
    let length = length_of(pair / params.heads, thread);
    for (var first = (group % params.groups) * 64u; first < params.len; first += params.groups * 64u) {
        queries(pair, first, thread, length, own);
    }
}

fn queries(pair: u32, first: u32, thread: u32, length: u32, own: u32) {
    let head = pair % params.heads;
    let rows = begin_of(pair / params.heads);
    let dim = params.heads * HD4;
    let i = first + thread;
    let row = pair * params.len + i;
    let behind = params.batches * params.heads * params.groups * 64u * table_bins();
    let kinds = behind + (row - params.first_batch * params.heads * params.len) * params.categories;
    if (TABLE == 1u && (PARTS & CATEGORY) != 0u && i < params.len) {
        clear(kinds, params.categories);
    }
    var dq = Row();
    if (first < length) {
        let valid = i < length;
        let near = min(i, length - 1u);
        let r = rows + near;
        let lse = stats[pair * params.len + near];
        let delta = stats[(params.batch * params.heads + pair) * params.len + near];
        let event = event_or_none(r);
        var q: Row;
        var up: Row;
        for (var d = 0u; d < HD4; d++) {
            q[d] = qkv[r * 3u * dim + head * HD4 + d];
            up[d] = dy[r * dim + head * HD4 + d];
        }
        let end = select(length, min(length, first + 64u), CAUSAL == 1u);
        let own_end = select(0u, select(length, min(length, i + 1u), CAUSAL == 1u), valid);
        for (var start = 0u; start < end; start += TILE) {
            workgroupBarrier(); // the tile before has been read
            load(thread, rows, start, length, 3u * dim, dim + head * HD4, 2u * dim + head * HD4);
            workgroupBarrier();
            for (var t = 0u; t < TILE && start + t < own_end; t++) {
                let j = start + t;
                var s = 0.0;
                var dp = 0.0;
                for (var d = 0u; d < HD4; d++) {
                    s += dot(q[d], tile_a[t * HD4 + d]);
                    dp += dot(up[d], tile_b[t * HD4 + d]);
                }
                s *= params.scale;
                var other = Event();
                if (PARTS != 0u) {
                    other = key_event(rows + j);
                    s += bias(head, i, j, event, other);
                }
                let ds = exp(s - lse) * (keep(row, j) * dp - delta);
                for (var d = 0u; d < HD4; d++) {
                    dq[d] += ds * tile_a[t * HD4 + d];
                }
                if (TABLE == 1u) {
                    add_bins(own, kinds, i, j, event, other, ds);
                }
            }
        }
    }
    if (i < room(length)) {
        for (var d = 0u; d < HD4; d++) {
            dqkv[(rows + i) * 3u * dim + head * HD4 + d] = dq[d] * params.scale;
        }
    }
}
