// Scaled dot-product attention with a running softmax and a learned bias.
// Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; Dao et al. 2022, https://arxiv.org/abs/2205.14135
//   y_i = sum_j softmax_j(q_i . k_j * scale + bias_ij) v_j
// One workgroup per (batch, head, 64 queries), one query per thread with its output in registers; keys and values come
// in tiles through workgroup memory, which all threads read at the same place. Bound by arithmetic and those reads.
// include: random
// include: spacetime
// include: attention
// include: lengths
// include: attention_row
// include: attention_tile
@group(0) @binding(1) var<storage, read> qkv: array<vec4<f32>>;       // [batch, len, 3 * dim]
@group(0) @binding(2) var<storage, read> lengths: array<u32>;         // [batch]
@group(0) @binding(3) var<storage, read> context: array<vec4<u32>>;   // [batch, len, 12]
@group(0) @binding(4) var<storage, read> table: array<f32>;           // [heads, n]
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;   // [batch, len, dim]
@group(0) @binding(6) var<storage, read_write> stats: array<f32>;     // [batch, heads, len]: log of the sum of exp

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let group = id.y * groups.x + id.x;
    let tiles = (params.len + 63u) / 64u;
    let pair = group / tiles;
    let batch = pair / params.heads;
    if (batch >= params.batch) {
        return;
    }
    let head = pair % params.heads;
    let first = (group % tiles) * 64u;
    let i = first + thread;
    let dim = params.heads * HD4;
    let rows = begin_of(batch);
    let length = length_of(batch, thread);
    let end = select(length, min(length, first + 64u), CAUSAL == 1u);
    var acc = Row();
    var most = MASKED;
    var sum = 0.0;
    if (first < length) {
        // A thread beyond the end repeats the last query; what it finds is not written.
        let r = rows + min(i, length - 1u);
        let event = event_or_none(r);
        var q: Row;
        for (var d = 0u; d < HD4; d++) {
            q[d] = qkv[r * 3u * dim + head * HD4 + d];
        }
        for (var start = 0u; start < end; start += TILE) {
            workgroupBarrier(); // the tile before has been read
            load(thread, rows, start, length, 3u * dim, dim + head * HD4, 2u * dim + head * HD4);
            workgroupBarrier();
            // Four keys at a time, so that the output is rescaled once for the four.
            for (var t = 0u; t < TILE && start + t < end; t += 4u) {
                var s = vec4(0.0);
                for (var d = 0u; d < HD4; d++) {
                    let at = t * HD4 + d;
                    s += vec4(dot(q[d], tile_a[at]), dot(q[d], tile_a[at + HD4]),
                              dot(q[d], tile_a[at + 2u * HD4]), dot(q[d], tile_a[at + 3u * HD4]));
                }
                s = s * params.scale + four_biases(head, i, start + t, rows, length, event);
                let j = vec4(start + t) + vec4(0u, 1u, 2u, 3u);
                s = select(vec4(MASKED), s, j < vec4(select(length, min(length, i + 1u), CAUSAL == 1u)));
                let larger = max(most, max(max(s.x, s.y), max(s.z, s.w)));
                let shrink = exp(most - larger);
                most = larger;
                var p = exp(s - larger);
                sum = sum * shrink + dot(p, vec4(1.0));
                p *= four_keeps(pair * params.len + i, start + t);
                for (var d = 0u; d < HD4; d++) {
                    let at = t * HD4 + d;
                    acc[d] = acc[d] * shrink + p.x * tile_b[at] + p.y * tile_b[at + HD4]
                        + p.z * tile_b[at + 2u * HD4] + p.w * tile_b[at + 3u * HD4];
                }
            }
        }
    }
    if (i < room(length)) {
        let valid = i < length;
        let factor = 1.0 / max(sum, 1e-30);
        for (var d = 0u; d < HD4; d++) {
            y[(rows + i) * dim + head * HD4 + d] = select(vec4(0.0), acc[d] * factor, valid);
        }
        stats[pair * params.len + i] = select(0.0, most + log(max(sum, 1e-30)), valid);
    }
}
