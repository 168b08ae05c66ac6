// The two parts of a mixture's probability, as logs: catalogue and pointer.

// log(1 + exp(z)) without overflow; log(1 + e) keeps nothing of a small e, its series does.
fn softplus(z: f32) -> f32 {
    let e = exp(-abs(z));
    return max(z, 0.0) + select(log(1.0 + e), e * (1.0 - 0.5 * e), e < 1e-3);
}

// A mass of zero has no log: infinity may be assumed absent.
fn shares_of(nll: f32, gate: f32, mass: f32) -> vec2<f32> {
    let pointed = select(-1e30, log(max(mass, 1e-37)), mass >= 1e-37);
    return vec2(-softplus(gate) - nll, -softplus(-gate) + pointed);
}

fn loss_of(shares: vec2<f32>) -> f32 {
    let e = exp(-abs(shares.x - shares.y)); // the smaller share of the two over the larger
    return -max(shares.x, shares.y) - select(log(1.0 + e), e * (1.0 - 0.5 * e), e < 1e-3);
}
