// softplus(v) = log(1 + exp(v)) = -log(sigmoid(-v)), and its derivative, without an exponential of anything positive.
fn softplus(v: Element) -> Element {
    let e = exp(-abs(v));
    // log(1 + e) keeps nothing of a small e; its series does.
    let tail = select(log(1.0 + e), e * (1.0 - 0.5 * e), e < Element(1e-3));
    return max(v, Element()) + tail;
}

fn sigmoid(v: Element) -> Element {
    let e = exp(-abs(v));
    return select(e, Element(1.0), v >= Element()) / (1.0 + e);
}
