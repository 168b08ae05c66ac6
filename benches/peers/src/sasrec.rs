//! One training step of SASRec, and one request to it, as the preset `sasrec` has it: tied item table with a bias, pre-norm blocks with GELU
//! and an inner width of four times the outer, dropout 0.2, full cross-entropy, clipping and AdamW.

use crate::measure::{Bench, bits, numbers};
use burn::grad_clipping::GradientClippingConfig;
use burn::module::{Initializer, Module, Param};
use burn::nn::attention::generate_autoregressive_mask;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::transformer::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput};
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

const DROPOUT: f64 = 0.2;

#[derive(Module, Debug)]
struct SasRec {
    items: Embedding,
    bias: Param<Tensor<1>>,
    positions: Embedding,
    dropout: Dropout,
    blocks: TransformerEncoder,
    norm: LayerNorm,
}

impl SasRec {
    fn new(device: &Device, [len, dim, items]: [usize; 3]) -> SasRec {
        let embedding = |rows| {
            let initializer = Initializer::Normal { mean: 0.0, std: 0.02 };
            EmbeddingConfig::new(rows, dim).with_initializer(initializer).init(device)
        };
        SasRec {
            items: embedding(items + 1), // row 0 is padding
            bias: Initializer::Zeros.init([items], device),
            positions: embedding(len),
            dropout: DropoutConfig::new(DROPOUT).init(),
            blocks: TransformerEncoderConfig::new(dim, 4 * dim, 1, 2)
                .with_norm_first(true)
                .with_dropout(DROPOUT)
                .init(device),
            norm: LayerNormConfig::new(dim).init(device),
        }
    }

    /// States `[batch, len, dim]`.
    fn states(&self, ids: Tensor<2, Int>, positions: Tensor<2, Int>, mask: Tensor<3, Bool>) -> Tensor<3> {
        let x = self.items.forward(ids);
        let dim = x.dims()[2];
        let x = x * (dim as f64).sqrt() + self.positions.forward(positions);
        let x = self.dropout.forward(x);
        let x = self.blocks.forward(TransformerEncoderInput::new(x).mask_attn(mask));
        self.norm.forward(x)
    }

    /// Logits `[rows, items]` of states `[rows, dim]`.
    fn logits(&self, x: Tensor<2>) -> Tensor<2> {
        let table = self.items.weight.val();
        let [rows, dim] = table.dims();
        x.matmul(table.slice([1..rows, 0..dim]).transpose()) + self.bias.val().unsqueeze()
    }
}

pub fn step(bench: &mut Bench, [batch, len, dim, items]: [usize; 4]) {
    let device = bench.device.clone().autodiff();
    let mut model = Some(SasRec::new(&device, [len, dim, items]));
    let clip = GradientClippingConfig::Norm(5.0);
    let mut optimizer = AdamWConfig::new().with_weight_decay(0.01).with_grad_clipping(Some(clip)).init();
    let criterion = CrossEntropyLossConfig::new().init(&device);
    let mut state = 1;
    let mut ids = |first: usize| -> Vec<i32> {
        (0..batch * len).map(|_| (first + bits(&mut state) as usize % items) as i32).collect()
    };
    let (inputs, targets) = (ids(1), ids(0));
    let mask = generate_autoregressive_mask(batch, len, &device);
    let positions = Tensor::<1, Int>::arange(0..len as i64, &device).unsqueeze::<2>();
    let mut step = || {
        let before = model.take().expect("there is always a model");
        // The batch comes from the host, as in training.
        let inputs = Tensor::from_data(TensorData::new(inputs.clone(), [batch, len]), &device);
        let targets = Tensor::from_data(TensorData::new(targets.clone(), [batch * len]), &device);
        let states = before.states(inputs, positions.clone(), mask.clone()).reshape([batch * len, dim]);
        let loss = criterion.forward(before.logits(states), targets);
        let grads = GradientsParams::from_grads(loss.backward(), &before);
        let after = optimizer.step(2e-3, before, grads);
        let value = after.bias.val().without_autodiff().slice([0..1]);
        model = Some(after);
        (value, loss.without_autodiff())
    };
    let losses = [(); 2].map(|()| numbers(step().1)[0]);
    let uniform = (items as f32).ln();
    assert!(
        (losses[0] - uniform).abs() < 1.0,
        "the first loss is {}, expected about ln {items} = {uniform}",
        losses[0]
    );
    assert!(losses[1] < losses[0], "the loss went from {} to {}: it does not learn", losses[0], losses[1]);
    bench.time("step", &mut || {
        let (value, loss) = step();
        (value, Box::new(loss))
    });
}

/// One history in, the ten best of all items out, on the host.
pub fn request(bench: &mut Bench, [len, dim, items]: [usize; 3]) {
    let device = bench.device.clone();
    let model = SasRec::new(&device, [len, dim, items]);
    let mut state = 1;
    let ids: Vec<i32> = (0..len).map(|_| (1 + bits(&mut state) as usize % items) as i32).collect();
    let mask = generate_autoregressive_mask(1, len, &device);
    let positions = Tensor::<1, Int>::arange(0..len as i64, &device).unsqueeze::<2>();
    let answer = || {
        let ids = Tensor::from_data(TensorData::new(ids.clone(), [1, len]), &device);
        let states = model.states(ids, positions.clone(), mask.clone());
        let last = states.slice([0..1, len - 1..len, 0..dim]).reshape([1, dim]);
        model.logits(last).topk_with_indices(10, 1)
    };
    let best: Vec<i32> = answer().1.into_data().convert::<i32>().try_to_vec().expect("ids");
    let distinct: std::collections::HashSet<_> = best.iter().collect();
    assert!(distinct.len() == 10 && best.iter().all(|id| (0..items as i32).contains(id)), "ten different items");
    bench.time("forward", &mut || {
        let (scores, ids) = answer();
        let ids = ids.into_data(); // the answer is on the host
        (scores.slice([0..1, 0..1]).reshape([1]), Box::new(ids))
    });
}
