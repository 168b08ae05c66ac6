// The share of a causal attention over the history that falls on one item: what a pointer into the history says of it.
// Vinyals et al. 2015, https://arxiv.org/abs/1506.03134; Merity et al. 2017, https://arxiv.org/abs/1609.07843
//   y_t = sum_{j <= t} softmax_j(q_t . k_j * scale + bias_tj) [items_j = targets_t]
// One workgroup per (batch, 64 queries), one query per thread; keys and their items come in tiles through workgroup
// memory, which all threads read at the same place. Bound by arithmetic and those reads.
// include: random
// include: spacetime
// include: attention
// include: lengths
// include: attention_row
// include: pointer
// include: pointer_tile
@group(0) @binding(1) var<storage, read> qk: array<vec4<f32>>;          // [batch, len, 2 * dim]
@group(0) @binding(2) var<storage, read> lengths: array<u32>;           // [batch]
@group(0) @binding(3) var<storage, read> context: array<vec4<u32>>;     // [batch, len, 12]
@group(0) @binding(4) var<storage, read> table: array<f32>;             // [1, n]
@group(0) @binding(5) var<storage, read> items: array<u32>;             // [batch, len]
@group(0) @binding(6) var<storage, read> targets: array<u32>;           // [batch, len]
@group(0) @binding(7) var<storage, read_write> y: array<f32>;           // [batch, len]
@group(0) @binding(8) var<storage, read_write> kept: array<vec4<u32>>;  // [batch, len]: see shared/pointer.wgsl

var<workgroup> tile_items: array<u32, TILE>;

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
    let i = first + thread;
    let rows = begin_of(batch);
    let length = length_of(batch, thread);
    let end = min(length, first + 64u);
    var most = MASKED;
    var sum = 0.0;
    var hit = 0.0;
    var item = 0u;
    var wanted = IGNORE;
    if (first < length) {
        // A thread beyond the end repeats the last query; what it finds is not written.
        let r = rows + min(i, length - 1u);
        let event = event_or_none(r);
        item = items[r];
        wanted = targets[r];
        var q: Row;
        load_half(r, QUERY, &q);
        for (var start = 0u; start < end; start += TILE) {
            workgroupBarrier(); // the tile before has been read
            load_keys(thread, rows, start, length);
            workgroupBarrier();
            for (var t = 0u; t < TILE && start + t < end; t += 4u) {
                var s = vec4(0.0);
                for (var d = 0u; d < HD4; d++) {
                    let at = t * HD4 + d;
                    s += vec4(dot(q[d], tile[at]), dot(q[d], tile[at + HD4]),
                              dot(q[d], tile[at + 2u * HD4]), dot(q[d], tile[at + 3u * HD4]));
                }
                s = s * params.scale + four_biases(0u, i, start + t, rows, length, event);
                let j = vec4(start + t) + vec4(0u, 1u, 2u, 3u);
                s = select(vec4(MASKED), s, j < vec4(min(length, i + 1u)));
                let larger = max(most, max(max(s.x, s.y), max(s.z, s.w)));
                let shrink = exp(most - larger);
                most = larger;
                let p = exp(s - larger);
                let four = vec4(tile_items[t], tile_items[t + 1u], tile_items[t + 2u], tile_items[t + 3u]);
                sum = sum * shrink + dot(p, vec4(1.0));
                hit = hit * shrink + dot(select(vec4(0.0), p, four == vec4(wanted)), vec4(1.0));
            }
        }
    }
    if (i < room(length)) {
        let valid = i < length && wanted != IGNORE;
        let mass = select(0.0, hit / max(sum, 1e-30), valid);
        y[rows + i] = mass;
        kept[rows + i] = kept_of(item, wanted, most + log(max(sum, 1e-30)), mass, i < length);
    }
}

fn load_keys(thread: u32, rows: u32, start: u32, length: u32) {
    load_tile(thread, rows, start, length, KEY);
    if (thread < TILE) {
        tile_items[thread] = items[rows + min(start + thread, length - 1u)];
    }
}
