use crate::gpu::Gpu;
use crate::tensor::Tensor;

/// How the histories of a batch, which differ in length, lie in the tensors of their events.
#[derive(Debug, Clone, Copy)]
pub enum Lengths<'a> {
    /// In `[batch, len, ..]`, and all are `len` long.
    Full,
    /// In `[batch, len, ..]`, each aligned left: `u32 [batch]` says how many events it has. What is behind them is not
    /// looked at, and outputs are zeros there.
    Padded(&'a Tensor),
    /// In `[events, ..]`, one history behind the other. Nothing is computed that is not asked for.
    Packed(&'a Packed),
}

impl<'a> From<&'a Tensor> for Lengths<'a> {
    fn from(lengths: &'a Tensor) -> Self {
        Lengths::Padded(lengths)
    }
}

impl<'a> From<Option<&'a Tensor>> for Lengths<'a> {
    fn from(lengths: Option<&'a Tensor>) -> Self {
        lengths.map_or(Lengths::Full, Lengths::Padded)
    }
}

impl<'a> From<&'a Packed> for Lengths<'a> {
    fn from(packed: &'a Packed) -> Self {
        Lengths::Packed(packed)
    }
}

/// Where histories begin that lie one behind the other: see [`Lengths::Packed`].
#[derive(Debug, Clone)]
pub struct Packed {
    /// `u32 [batch + 1]`: where each begins, and last where all end.
    starts: Tensor,
    longest: usize,
    events: usize,
}

impl Packed {
    /// Histories of so many events each.
    pub fn new(gpu: &Gpu, lengths: &[usize]) -> Packed {
        let mut starts = vec![0u32];
        let mut events = 0;
        for length in lengths {
            events += length;
            starts.push(events as u32);
        }
        let longest = lengths.iter().copied().max().unwrap_or(0);
        Packed { starts: Tensor::from_slice(gpu, &starts, &[starts.len()]), longest, events }
    }

    /// Histories.
    pub fn batch(&self) -> usize {
        self.starts.len() - 1
    }

    /// Events of the longest history.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Of all histories together.
    pub fn events(&self) -> usize {
        self.events
    }
}

/// [`Lengths`] as kernels take them (see shared/lengths.wgsl), with what they say of the tensors.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    pub batch: usize,
    /// Of the longest history, or what there is room for.
    pub len: usize,
    /// Rows of the tensors.
    pub events: usize,
    pub packed: bool,
    /// Where there are none, all are full.
    pub lengths: Option<Tensor>,
}

impl Rows {
    /// Those of `x`, whose last axis is the width of an event; `op` and `name` say whose that is.
    #[track_caller]
    pub fn of(op: &str, name: &str, x: &Tensor, lengths: Lengths) -> Rows {
        if let Lengths::Packed(packed) = lengths {
            let width = x.shape().last().copied().unwrap_or(0);
            x.expect_shape(&format!("{op}: {name}, packed"), &[packed.events, width]);
            let (len, events, lengths) = (packed.longest, packed.events, Some(packed.starts.clone()));
            return Rows { batch: packed.batch(), len, events, packed: true, lengths };
        }
        let &[batch, len, _] = x.shape() else {
            panic!("{op}: {name}: expected [batch, len, width], got {:?}", x.shape())
        };
        let lengths = if let Lengths::Padded(lengths) = lengths { Some(lengths.clone()) } else { None };
        if let Some(lengths) = &lengths {
            lengths.expect_shape(&format!("{op}: lengths"), &[batch]);
        }
        Rows { batch, len, events: batch * len, packed: false, lengths }
    }

    /// The shape of a tensor with so much for each event.
    pub fn shape(&self, last: &[usize]) -> Vec<usize> {
        match self.packed {
            true => [&[self.events], last].concat(),
            false => [&[self.batch, self.len], last].concat(),
        }
    }

    pub fn consts(&self) -> (&'static str, u32) {
        ("PACKED", u32::from(self.packed))
    }
}
