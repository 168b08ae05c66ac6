//! One training step of SASRec as the preset `sasrec` has it: tied item table with a bias, pre-norm blocks with GELU
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

    /// Logits `[batch * len, items]`.
    fn forward(&self, ids: Tensor<2, Int>, positions: Tensor<2, Int>, mask: Tensor<3, Bool>) -> Tensor<2> {
        let [batch, len] = ids.dims();
        let x = self.items.forward(ids);
        let dim = x.dims()[2];
        let x = x * (dim as f64).sqrt() + self.positions.forward(positions);
        let x = self.dropout.forward(x);
        let x = self.blocks.forward(TransformerEncoderInput::new(x).mask_attn(mask));
        let x = self.norm.forward(x).reshape([batch * len, dim]);
        let table = self.items.weight.val();
        let rows = table.dims()[0];
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
        let loss = criterion.forward(before.forward(inputs, positions.clone(), mask.clone()), targets);
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
