
// Takes the scores of eight queries with the four items at hand into what is known of their groups.
fn fold_eight(m: ptr<function, Kept>, a: ptr<function, Sums>, q: u32) {
    (*m)[0] = fold((*m)[0], (*a)[0], q);
    if (QUERIES > 1u) {
        (*m)[1] = fold((*m)[1], (*a)[1], q + 1u);
        (*m)[2] = fold((*m)[2], (*a)[2], q + 2u);
        (*m)[3] = fold((*m)[3], (*a)[3], q + 3u);
    }
    if (QUERIES > 4u) {
        (*m)[4] = fold((*m)[4], (*a)[4], q + 4u);
        (*m)[5] = fold((*m)[5], (*a)[5], q + 5u);
        (*m)[6] = fold((*m)[6], (*a)[6], q + 6u);
        (*m)[7] = fold((*m)[7], (*a)[7], q + 7u);
    }
}

fn fold(known: f32, sum: vec4<f32>, tile_q: u32) -> f32 {
    let q = min(tile_q, params.queries - 1u);
    var scores = sum + extra;
    if (FORMAT == 2u) {
        scores = fma(sum, one * vec4(query[(q + 1u) * params.stride / 4u - 1u].x), extra);
    }
    var take = valid;
    if (EXCLUDE == 1u) {
        let bits = mask[q * params.words + mask_at.x] >> mask_at.y;
        take &= (vec4(bits) & vec4(1u, 2u, 4u, 8u)) == vec4(0u);
    }
    if (COUNT == 1u) {
        let reached = take & (scores >= vec4(threshold[q]));
        return known + dot(select(vec4(0.0), vec4(1.0), reached), vec4(1.0));
    }
    let s = select(vec4(-1e30), scores, take);
    return max(known, max(max(s.x, s.y), max(s.z, s.w)));
}
