//! What happened, to be undone backwards: a Wengert list of closures, each next to the op that it differentiates.

use crate::gpu::Gpu;
use crate::ops;
use crate::tensor::Tensor;
use std::collections::{HashMap, HashSet};

type Backward = Box<dyn FnOnce(&Gpu, &mut Grads, &Tensor) + Send>;

/// Records ops on the way forward. A tape that is off keeps nothing, so one `forward` serves training and inference.
pub struct Tape {
    nodes: Vec<(u64, Backward)>,
    tracked: HashSet<u64>,
    on: bool,
    seed: u64,
    draws: u64,
}

impl Tape {
    /// A recording tape. `seed` determines every dropout mask on it.
    pub fn new(seed: u64) -> Tape {
        Tape { nodes: Vec::new(), tracked: HashSet::new(), on: true, seed, draws: 0 }
    }

    /// A tape that keeps nothing: dropout is the identity, and there is nothing to go back over.
    pub fn off() -> Tape {
        Tape { on: false, ..Tape::new(0) }
    }

    pub fn is_on(&self) -> bool {
        self.on
    }

    /// A fresh seed for one random op, the same in every run with this tape's seed.
    pub fn next_seed(&mut self) -> u32 {
        self.draws += 1;
        let mut z = self.seed.wrapping_add(self.draws.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9); // SplitMix64, Steele et al. 2014
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) as u32
    }

    /// Whether the gradient with respect to `x` can matter: it is a parameter or came from one.
    pub fn tracks(&self, x: &Tensor) -> bool {
        self.on && (x.is_parameter() || self.tracked.contains(&x.id()))
    }

    /// Remembers how to turn the gradient of `y` into those of `inputs`, unless none of them is tracked.
    ///
    /// # Panics
    /// When an input is a view, by [`Tensor::row_range`], of something tracked: its gradient would be lost silently.
    #[track_caller]
    pub fn record(
        &mut self,
        y: &Tensor,
        inputs: &[&Tensor],
        backward: impl FnOnce(&Gpu, &mut Grads, &Tensor) + Send + 'static,
    ) {
        let cuts = |x: &&Tensor| x.whole().is_some_and(|(id, parameter)| parameter || self.tracked.contains(&id));
        let cut = inputs.iter().any(|x| self.on && !x.is_parameter() && cuts(x));
        assert!(!cut, "tape: a view by row_range has no gradient, and what it is cut from wants one");
        if inputs.iter().any(|x| self.tracks(x)) {
            self.tracked.insert(y.id());
            self.nodes.push((y.id(), Box::new(backward)));
        }
    }

    /// Gradients of the scalar `loss` with respect to everything tracked.
    ///
    /// # Panics
    /// When `loss` has more than one element, or nothing on this tape leads to it from a parameter: then there is nothing
    /// to learn, and saying so beats a model that stays as it is.
    #[track_caller]
    pub fn backward(self, loss: &Tensor) -> Grads {
        assert!(self.tracks(loss), "backward: no parameter leads to the loss on this tape, or the tape is off");
        assert!(loss.len() == 1, "backward: the loss has shape {:?}, expected one element", loss.shape());
        let seed = Tensor::full(loss.gpu(), loss.shape(), 1.0);
        self.backward_from(loss, seed)
    }

    /// Gradients of `sum(y * dy)`: for outputs that are not scalars.
    pub fn backward_from(self, y: &Tensor, dy: Tensor) -> Grads {
        dy.expect_shape("backward_from: dy", y.shape());
        let gpu = y.gpu().clone();
        let mut grads = Grads { tracked: self.tracked, of: HashMap::new() };
        grads.of.insert(y.id(), dy);
        for (id, backward) in self.nodes.into_iter().rev() {
            // An intermediate's gradient is complete here and of no use afterwards: taking it frees the memory early.
            if let Some(dy) = grads.of.remove(&id) {
                backward(&gpu, &mut grads, &dy);
            }
        }
        grads
    }
}

/// Gradients by tensor. After [`Tape::backward`] only those of parameters are left.
#[derive(Debug)]
pub struct Grads {
    tracked: HashSet<u64>,
    of: HashMap<u64, Tensor>,
}

impl Grads {
    /// Whether computing the gradient of `x` is worth it.
    pub fn wants(&self, x: &Tensor) -> bool {
        x.is_parameter() || self.tracked.contains(&x.id())
    }

    /// Adds `dx` to the gradient of `x`. The first addition keeps `dx` itself: nobody else may write it later.
    #[track_caller]
    pub fn add(&mut self, x: &Tensor, dx: Tensor) {
        if !self.wants(x) {
            return;
        }
        assert!(dx.len() == x.len(), "gradient of shape {:?} for {:?}", dx.shape(), x.shape());
        match self.of.remove(&x.id()) {
            None => self.of.insert(x.id(), dx),
            Some(sum) => self.of.insert(x.id(), ops::sum_of(&sum, &dx)),
        };
    }

    /// The gradient of `x`, if it took part.
    pub fn get(&self, x: &Tensor) -> Option<&Tensor> {
        self.of.get(&x.id())
    }

    pub fn take(&mut self, x: &Tensor) -> Option<Tensor> {
        self.of.remove(&x.id())
    }
}
