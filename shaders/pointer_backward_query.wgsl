// Gradient of the pointer with respect to the queries and the bias table.
//   p = exp(score - lse),  ds_tj = p_tj ([items_j = targets_t] - y_t) dy_t,  dq_t = scale sum_j ds_tj k_j,  dbias_tj = ds_tj
// One workgroup per (batch, group); it takes every `groups`-th 64 queries, one query per thread; keys and items in tiles
// as in pointer.wgsl. Probabilities are computed anew. Bound by arithmetic and reads of workgroup memory.
// include: random
// include: spacetime
// include: attention
// include: lengths
// include: attention_row
// include: pointer
// include: pointer_tile
@group(0) @binding(1) var<storage, read> qk: array<vec4<f32>>;         // [batch, len, 2 * dim]
@group(0) @binding(2) var<storage, read> lengths: array<u32>;          // [batch]
@group(0) @binding(3) var<storage, read> context: array<vec4<u32>>;    // [batch, len, 12]
@group(0) @binding(4) var<storage, read> table: array<f32>;            // [1, n]
@group(0) @binding(5) var<storage, read> kept: array<vec4<u32>>;       // [batch, len]
@group(0) @binding(6) var<storage, read> dy: array<f32>;               // [batch, len]
@group(0) @binding(7) var<storage, read_write> dqk: array<vec4<f32>>;  // [batch, len, 2 * dim]: the queries' half
// include: attention_bins

var<workgroup> tile_items: array<u32, TILE>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let group = id.y * groups.x + id.x;
    let batch = params.first_batch + group / params.groups;
    if (batch >= params.first_batch + params.batches) {
        return;
    }
    let own = (group * 64u + thread) * table_bins();
    if (TABLE == 1u) {
        clear(own, table_bins());
    }
    let length = length_of(batch, thread);
    for (var first = (group % params.groups) * 64u; first < params.len; first += params.groups * 64u) {
        queries(batch, first, thread, length, own);
    }
}

fn queries(batch: u32, first: u32, thread: u32, length: u32, own: u32) {
    let rows = begin_of(batch);
    let i = first + thread;
    let behind = params.batches * params.groups * 64u * table_bins();
    let kinds = behind + ((batch - params.first_batch) * params.len + i) * params.categories;
    if (TABLE == 1u && (PARTS & CATEGORY) != 0u && i < params.len) {
        clear(kinds, params.categories);
    }
    var dq = Row();
    if (first < length) {
        let r = rows + min(i, length - 1u);
        let row = kept[r];
        let up = upstream(row, dy[r]);
        let event = event_or_none(r);
        var q: Row;
        load_half(r, QUERY, &q);
        let end = min(length, first + 64u);
        let own_end = select(0u, i + 1u, i < length && row.y != IGNORE);
        for (var start = 0u; start < end; start += TILE) {
            workgroupBarrier(); // the tile before has been read
            load_keys(thread, rows, start, length);
            workgroupBarrier();
            for (var t = 0u; t < TILE && start + t < own_end; t++) {
                let j = start + t;
                var s = 0.0;
                for (var d = 0u; d < HD4; d++) {
                    s += dot(q[d], tile[t * HD4 + d]);
                }
                s *= params.scale; // as in the forward: large scores round alike only if computed alike
                var other = Event();
                if (PARTS != 0u) {
                    other = key_event(rows + j);
                    s += bias(0u, i, j, event, other);
                }
                let found = select(0.0, 1.0, tile_items[t] == row.y);
                let ds = exp(s - lse_of(row)) * (found - mass_of(row)) * up;
                for (var d = 0u; d < HD4; d++) {
                    dq[d] += ds * tile[t * HD4 + d];
                }
                if (TABLE == 1u) {
                    add_bins(own, kinds, i, j, event, other, ds);
                }
            }
        }
    }
    if (i < room(length)) {
        for (var d = 0u; d < HD4; d++) {
            dqk[(rows + i) * 2u * HD4 + d] = dq[d] * params.scale;
        }
    }
}

fn load_keys(thread: u32, rows: u32, start: u32, length: u32) {
    load_tile(thread, rows, start, length, KEY);
    if (thread < TILE) {
        tile_items[thread] = kept[rows + min(start + thread, length - 1u)].x;
    }
}
