use crate::gpu::Gpu;
use crate::tensor::Tensor;
use half::f16;

/// The largest `dim` of a table of int8: sums of so many products of whole numbers are exact in f32.
pub const MAX_INT8_DIM: usize = 1040;
/// Words that are uploaded at a time: a table may be larger than what the driver stages.
const UPLOAD: usize = 16 << 20;

/// Vectors of items in fewer bits, on the host: `[items, dim]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Quantised {
    F16(Vec<f16>),
    /// Whole numbers of at most 127, and for each row what one is worth.
    Int8(Vec<i8>, Vec<f32>),
}

impl Quantised {
    /// Rounded to the nearest of 16 bits; what is beyond them becomes the largest.
    pub fn f16(values: &[f32]) -> Quantised {
        let most = f16::MAX.to_f32();
        Quantised::F16(values.iter().map(|v| f16::from_f32(v.clamp(-most, most))).collect())
    }

    /// Each row of `dim` in steps of a 127th of its largest number.
    pub fn int8(values: &[f32], dim: usize) -> Quantised {
        let (mut whole, mut scales) = (Vec::with_capacity(values.len()), Vec::with_capacity(values.len() / dim));
        for row in values.chunks_exact(dim) {
            let most = row.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            let inverse = if most < 1e-30 { 0.0 } else { 127.0 / most };
            whole.extend(row.iter().map(|v| (v * inverse).round_ties_even().clamp(-127.0, 127.0) as i8));
            scales.push(most / 127.0);
        }
        Quantised::Int8(whole, scales)
    }

    /// The numbers that these bits stand for.
    pub fn floats(&self, dim: usize) -> Vec<f32> {
        match self {
            Quantised::F16(values) => values.iter().map(|v| v.to_f32()).collect(),
            Quantised::Int8(values, scales) => {
                let row = |(row, scale): (&[i8], &f32)| row.iter().map(|v| f32::from(*v) * scale).collect::<Vec<_>>();
                values.chunks_exact(dim).zip(scales).flat_map(row).collect()
            }
        }
    }

    /// Numbers.
    pub fn len(&self) -> usize {
        match self {
            Quantised::F16(values) => values.len(),
            Quantised::Int8(values, _) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One row as words: see [`ItemTable`].
    fn words(&self, row: usize, dim: usize, out: &mut Vec<u32>) {
        let range = row * dim..(row + 1) * dim;
        match self {
            Quantised::F16(values) => {
                let bits = |c: &[f16]| u32::from(c[0].to_bits()) | c.get(1).map_or(0, |v| u32::from(v.to_bits()) << 16);
                out.extend(values[range].chunks(2).map(bits));
                out.resize(out.len().next_multiple_of(2), 0);
            }
            Quantised::Int8(values, scales) => {
                let byte = |c: &[i8], i: usize| c.get(i).map_or(0, |v| *v as u8);
                out.extend(values[range].chunks(4).map(|c| u32::from_le_bytes([0, 1, 2, 3].map(|i| byte(c, i)))));
                out.push(scales[row].to_bits());
            }
        }
    }
}

/// Vectors of items in fewer bits, on a device, for [`top_k`](super::top_k) and [`rank_of`](super::rank_of): f16, half of
/// the memory of f32, or int8 with a scale per row, a quarter.
///
/// `[items, words]` of 32 bits. f16: two in a word, with zeros up to an even number of words. int8: four in a word, with
/// zeros at the end, and one word more with the scale. Queries meet int8 as int8, each with a scale of its own, so that
/// sums are exact whole numbers; f16 is unpacked, and the sums are in f32. Neither needs an optional feature.
#[derive(Debug, Clone)]
pub struct ItemTable {
    pub(super) data: Tensor,
    pub(super) dim: usize,
    pub(super) format: u32,
}

impl ItemTable {
    /// # Panics
    /// When the numbers are not rows of `dim`, or `dim` is beyond [`MAX_INT8_DIM`] for int8.
    #[track_caller]
    pub fn new(gpu: &Gpu, values: &Quantised, dim: usize) -> ItemTable {
        let n = values.len();
        assert!(dim > 0 && n.is_multiple_of(dim), "ItemTable: {n} numbers are no rows of {dim}");
        let items = n / dim;
        let (format, row) = match values {
            Quantised::F16(_) => (1, dim.div_ceil(4) * 2),
            Quantised::Int8(_, scales) => {
                assert!(dim <= MAX_INT8_DIM, "ItemTable: int8 rows of {dim}, expected at most {MAX_INT8_DIM}");
                assert!(scales.len() == items, "ItemTable: {} scales for {items} rows", scales.len());
                (2, dim.div_ceil(4) + 1)
            }
        };
        let data = Tensor::empty(gpu, &[items, row]);
        let step = (UPLOAD / row).max(1);
        let mut words = Vec::with_capacity(step.min(items) * row);
        for start in (0..items).step_by(step) {
            let n = step.min(items - start);
            words.clear();
            (start..start + n).for_each(|i| values.words(i, dim, &mut words));
            data.row_range(start, n).write(&words);
        }
        ItemTable { data, dim, format }
    }

    /// `(items, dim)`
    pub fn rows(&self) -> (usize, usize) {
        (self.data.shape()[0], self.dim)
    }
}

/// A table to score against: a tensor of f32, or packed.
#[derive(Debug, Clone, Copy)]
pub enum Items<'a> {
    Plain(&'a Tensor),
    Packed(&'a ItemTable),
}

impl<'a> From<&'a Tensor> for Items<'a> {
    fn from(table: &'a Tensor) -> Self {
        Items::Plain(table)
    }
}

impl<'a> From<&'a ItemTable> for Items<'a> {
    fn from(table: &'a ItemTable) -> Self {
        Items::Packed(table)
    }
}

impl Items<'_> {
    /// `(items, dim)`
    #[track_caller]
    pub fn rows(self) -> (usize, usize) {
        match self {
            Items::Plain(table) => table.rows(),
            Items::Packed(table) => table.rows(),
        }
    }

    /// Rows of words, and the `FORMAT` of the kernels.
    pub(super) fn words(&self) -> (&Tensor, u32) {
        match self {
            Items::Plain(table) => (table, 0),
            Items::Packed(table) => (&table.data, table.format),
        }
    }
}
