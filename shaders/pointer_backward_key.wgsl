// Gradient of the pointer with respect to the keys.
//   p = exp(score - lse),  ds_tj = p_tj ([items_j = targets_t] - y_t) dy_t,  dk_j = scale sum_{t >= j} ds_tj q_t
// One workgroup per (batch, 64 keys), one key per thread; queries come in tiles through workgroup memory. Probabilities
// are computed anew. Bound by arithmetic and reads of workgroup memory.
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
@group(0) @binding(7) var<storage, read_write> dqk: array<vec4<f32>>;  // [batch, len, 2 * dim]: the keys' half

var<workgroup> tile_kept: array<vec4<u32>, TILE>;
var<workgroup> tile_up: array<f32, TILE>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let group = id.y * groups.x + id.x;
    let tiles = (params.len + 63u) / 64u;
    let batch = group / tiles;
    if (batch >= params.batch) {
        return;
    }
    let first = (group % tiles) * 64u;
    let j = first + thread;
    let rows = begin_of(batch);
    let length = length_of(batch, thread);
    var dk = Row();
    if (first < length) {
        let r = rows + min(j, length - 1u);
        let item = kept[r].x;
        var event = Event();
        if (PARTS != 0u) {
            event = key_event(r);
        }
        var k: Row;
        load_half(r, KEY, &k);
        for (var start = first; start < length; start += TILE) {
            workgroupBarrier(); // the tile before has been read
            load_queries(thread, rows, start, length);
            workgroupBarrier();
            let end = select(0u, min(TILE, length - start), j < length);
            for (var t = max(j, start) - start; t < end; t++) {
                let i = start + t;
                var s = 0.0;
                for (var d = 0u; d < HD4; d++) {
                    s += dot(k[d], tile[t * HD4 + d]);
                }
                s *= params.scale; // as in the forward: large scores round alike only if computed alike
                if (PARTS != 0u) {
                    s += bias(0u, i, j, query_event(rows + i), event);
                }
                let row = tile_kept[t];
                let ds = exp(s - lse_of(row)) * (select(0.0, 1.0, item == row.y) - mass_of(row)) * tile_up[t];
                for (var d = 0u; d < HD4; d++) {
                    dk[d] += ds * tile[t * HD4 + d];
                }
            }
        }
    }
    if (j < room(length)) {
        for (var d = 0u; d < HD4; d++) {
            dqk[(rows + j) * 2u * HD4 + HD4 + d] = dk[d] * params.scale;
        }
    }
}

fn load_queries(thread: u32, rows: u32, start: u32, length: u32) {
    load_tile(thread, rows, start, length, QUERY);
    if (thread < TILE) {
        let r = rows + min(start + thread, length - 1u);
        tile_kept[thread] = kept[r];
        tile_up[thread] = upstream(kept[r], dy[r]);
    }
}
