use super::gemm::{Layout, gemm};
use crate::tape::Tape;
use crate::tensor::Tensor;

/// `y = a·b`: `a: [.., k]`, `b: [k, n]`, `y: [.., n]`.
///
/// # Panics
/// When the last axis of `a` is not the first of `b`.
#[track_caller]
pub fn matmul(tape: &mut Tape, a: &Tensor, b: &Tensor) -> Tensor {
    let (m, k) = a.rows();
    assert!(b.shape().len() == 2, "matmul: b: expected shape [{k}, n], got {:?}", b.shape());
    let n = b.shape()[1];
    b.expect_shape("matmul: b", &[k, n]);
    let mut shape = a.shape().to_vec();
    shape[a.shape().len() - 1] = n;
    let y = Tensor::empty(a.gpu(), &shape);
    gemm(a.gpu(), Layout::Nn, a, b, &y, [m, n, k], false);
    let (saved_a, saved_b) = (a.clone(), b.clone());
    tape.record(&y, &[a, b], move |gpu, grads, dy| {
        if grads.wants(&saved_a) {
            let da = Tensor::empty(gpu, saved_a.shape());
            gemm(gpu, Layout::Nt, dy, &saved_b, &da, [m, k, n], false);
            grads.add(&saved_a, da);
        }
        if grads.wants(&saved_b) {
            let db = Tensor::empty(gpu, saved_b.shape());
            gemm(gpu, Layout::Tn, &saved_a, dy, &db, [k, n, m], false);
            grads.add(&saved_b, db);
        }
    });
    y
}
