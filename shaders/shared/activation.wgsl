// Activations by number (`Activation` in src/ops/linear.rs) and their derivatives from the input z.
const ACT_NONE: u32 = 0u;
const ACT_RELU: u32 = 1u;
const ACT_GELU: u32 = 2u;
const ACT_SILU: u32 = 3u;
const ACT_TANH: u32 = 4u;
const ACT_SIGMOID: u32 = 5u;

// exp overflows to infinity beyond 88, and infinity may be assumed absent.
fn sigmoid(z: f32) -> f32 {
    return 1.0 / (1.0 + exp(-clamp(z, -80.0, 80.0)));
}

// tanh as some drivers build it from exp overflows for large z, and takes two. From one: its error is absolute, about one
// unit in the last place of 1, like that of the built-in.
fn tanh_safe(z: f32) -> f32 {
    return 2.0 * sigmoid(2.0 * z) - 1.0;
}

const GELU_A: f32 = 0.7978845608028654; // sqrt(2 / pi)
const GELU_B: f32 = 0.044715;

fn activate(act: u32, z: f32) -> f32 {
    switch act {
        case ACT_RELU: { return max(z, 0.0); }
        case ACT_GELU: { return 0.5 * z * (1.0 + tanh_safe(GELU_A * (z + GELU_B * z * z * z))); }
        case ACT_SILU: { return z * sigmoid(z); }
        case ACT_TANH: { return tanh_safe(z); }
        case ACT_SIGMOID: { return sigmoid(z); }
        default: { return z; }
    }
}

fn activate_slope(act: u32, z: f32) -> f32 {
    switch act {
        case ACT_RELU: { return select(0.0, 1.0, z > 0.0); }
        case ACT_GELU: {
            let t = tanh_safe(GELU_A * (z + GELU_B * z * z * z));
            return 0.5 * (1.0 + t) + 0.5 * z * (1.0 - t * t) * GELU_A * (1.0 + 3.0 * GELU_B * z * z);
        }
        case ACT_SILU: { let s = sigmoid(z); return s * (1.0 + z * (1.0 - s)); }
        case ACT_TANH: { let t = tanh_safe(z); return 1.0 - t * t; }
        case ACT_SIGMOID: { let s = sigmoid(z); return s * (1.0 - s); }
        default: { return 1.0; }
    }
}
