// Counter-based random bits: the same (seed, index) gives the same bits on every device and in every replay.
// PCG-RXS-M-XS 32 over a mixed counter. Jarzynski & Olano 2020, https://jcgt.org/published/0009/03/02/
fn random_bits(seed: u32, index: u32) -> u32 {
    var state = (index ^ (seed * 0x9E3779B9u)) * 747796405u + 2891336453u;
    state = (((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u) ^ seed;
    state = state * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

// Uniform in [0, 1), 24 bits.
fn random_unit(seed: u32, index: u32) -> f32 {
    return f32(random_bits(seed, index) >> 8u) * 5.9604644775390625e-8;
}

// Inverted dropout: the factor of element `index`, 0 with probability p and 1 / (1 - p) else.
fn dropout_factor(seed: u32, index: u32, p: f32) -> f32 {
    return select(0.0, 1.0 / (1.0 - p), random_unit(seed, index) >= p);
}
