
// A score as a number that orders like it; 0, which no score has, for an item that does not take part.
fn key_of(score: f32) -> u32 {
    let bits = bitcast<u32>(select(score, 0.0, score == 0.0));    // -0 and 0 are one score
    return select(select(bits | 0x80000000u, ~bits, bits >= 0x80000000u), 0u, score <= -1e30);
}

fn score_of(key: u32) -> f32 {
    return select(bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u)), -1e30, key == 0u);
}
