//! Metrics and baselines; ranking by the model itself is in [`crate::eval`]'s caller.
