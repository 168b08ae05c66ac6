// Counter-based random bits: the same (seed, index) gives the same bits on every device and in every replay.
// PCG-RXS-M-XS 32 over a mixed counter. Jarzynski & Olano 2020, https://jcgt.org/published/0009/03/02/
fn random_bits(seed: u32, index: u32) -> u32 {
    var state = (index ^ (seed * 0x9E3779B9u)) * 747796405u + 2891336453u;
    state = (((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u) ^ seed;
    state = state * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

// Inverted dropout: the factor of element `index`, 0 with probability p and 1 / (1 - p) else. Two neighbours share the
// bits of one number, sixteen each: half the work, and p to within 2^-16.
fn dropout_factor(seed: u32, index: u32, p: f32) -> f32 {
    return dropout_pair(seed, index / 2u, p)[index & 1u];
}

// The factors of elements 2 pair and 2 pair + 1.
fn dropout_pair(seed: u32, pair: u32, p: f32) -> vec2<f32> {
    let bits = random_bits(seed, pair);
    let unit = vec2<f32>(vec2(bits & 0xffffu, bits >> 16u)) * 1.52587890625e-5;
    return select(vec2(0.0), vec2(1.0 / (1.0 - p)), unit >= vec2(p));
}
