//! What `top_k` and `rank_of` share: scores of a catalogue that are folded as they arise and never stored.

use super::cut;
use super::item_table::Items;
use crate::gpu::{Buffer, Gpu, Kernel};
use crate::kernel;
use crate::tensor::Tensor;

static TILES: Kernel = kernel!("top_k");
static LANES: Kernel = kernel!("top_k_lanes");
static MASK: Kernel = kernel!("top_k_mask");
static QUERY: Kernel = kernel!("top_k_query");

/// Items of one workgroup on GPUs, and the largest group: what one fold covers.
pub(super) const GROUP: usize = 64;
/// Queries that share the reading of an item; twice as many in the kernel for drivers on the CPU, where there are more.
const TILE: usize = 16;
/// Groups of one workgroup of the kernel for drivers on the CPU.
const LANES_GROUPS: usize = 8;
/// Queries at which a batch may be cut: rows of any length start at a multiple of 256 bytes there.
const CUT: usize = 64;
/// Memory for one batch of queries; more queries take several batches.
const BATCH_BYTES: usize = 32 << 20;
/// Workgroups along one axis.
const MAX_GROUPS: usize = 65_535;

/// For each query, the items that it must not get: for example what the user has seen.
///
/// They become one bit per item and query, for up to 64 queries at once. Where even that exceeds a binding (beyond 16
/// million items at 128 MiB), the result is [`Error::OutOfMemory`](crate::Error::OutOfMemory): ask for fewer queries in
/// one call then.
#[derive(Debug, Clone)]
pub struct Exclusions {
    offsets: Tensor,
    ids: Tensor,
    /// The offsets again, to cut the ids.
    ends: Vec<u32>,
}

impl Exclusions {
    /// One list of item ids per query, in any order. Ids outside of the table are skipped.
    pub fn new(gpu: &Gpu, lists: &[impl AsRef<[u32]>]) -> Exclusions {
        let mut offsets = vec![0u32];
        let mut ids: Vec<u32> = Vec::new();
        for list in lists {
            ids.extend_from_slice(list.as_ref());
            offsets.push(ids.len() as u32);
        }
        if ids.is_empty() {
            ids.push(u32::MAX); // a binding cannot be empty
        }
        Exclusions {
            offsets: Tensor::from_slice(gpu, &offsets, &[offsets.len()]),
            ids: Tensor::from_slice(gpu, &ids, &[ids.len()]),
            ends: offsets,
        }
    }

    /// Lists in here.
    pub fn len(&self) -> usize {
        self.ends.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A catalogue to score against: checked once, then folded batch by batch.
pub(super) struct Scoring<'a> {
    pub gpu: &'a Gpu,
    pub table: Items<'a>,
    pub bias: Option<&'a Tensor>,
    pub exclude: Option<&'a Exclusions>,
    pub first_item: usize,
    pub items: usize,
    pub dim: usize,
    /// Words of 32 bits in a row of the table.
    pub row: usize,
    /// Of the table: see [`Items::words`].
    pub format: u32,
    /// Items per group, 16 or 64.
    pub group: usize,
}

/// Rows `start..start + items` of the table, as much as one binding takes, with their biases.
pub(super) struct Shard {
    pub start: usize,
    pub items: usize,
    pub table: Tensor,
    pub bias: Tensor,
}

/// What [`Scoring::fold`] keeps of each group of items.
pub(super) enum Fold<'a> {
    /// The key of the best score: `[queries, groups]`.
    Best(&'a Tensor),
    /// How many scores reach the `threshold` of the query, added to `counts`: both `[queries]`.
    Count { threshold: &'a Tensor, counts: &'a Tensor },
}

impl<'a> Scoring<'a> {
    #[track_caller]
    pub fn new(
        op: &str,
        gpu: &'a Gpu,
        queries: &Tensor,
        table: Items<'a>,
        bias: Option<&'a Tensor>,
        exclude: Option<&'a Exclusions>,
        first_item: usize,
    ) -> Scoring<'a> {
        let (items, dim) = table.rows();
        assert!(items > 0 && dim > 0, "{op}: a table of shape [{items}, {dim}] has nothing to score");
        assert!(items < u32::MAX as usize, "{op}: {items} items, more than ids of 32 bits name");
        let (n, _) = queries.rows();
        queries.expect_shape(&format!("{op}: queries"), &[n, dim]);
        if let Some(bias) = bias {
            bias.expect_shape(&format!("{op}: bias"), &[items]);
        }
        if let Some(lists) = exclude {
            assert!(lists.len() == n, "{op}: {} exclusion lists for {n} queries", lists.len());
        }
        let (words, format) = table.words();
        let (_, row) = words.rows();
        Scoring { gpu, table, bias, exclude, first_item, items, dim, row, format, group: GROUP }
    }

    /// Numbers of a row that the kernels go through: a multiple of 4, but for a table of f32.
    fn width(&self) -> usize {
        if self.format == 0 { self.dim } else { self.dim.next_multiple_of(4) }
    }

    /// Numbers from one query to the next as [`Scoring::queries`] has them.
    pub fn stride(&self) -> usize {
        if self.as_they_are() { self.dim } else { self.dim.next_multiple_of(4) + 4 }
    }

    fn as_they_are(&self) -> bool {
        self.format == 0 && self.dim.is_multiple_of(4)
    }

    /// `[n, stride]`: queries in whole vectors of four, and for a table of int8 in whole numbers, with the scale behind.
    pub fn queries(&self, queries: &Tensor) -> Tensor {
        if self.as_they_are() {
            return queries.clone();
        }
        let (n, dim) = queries.rows();
        let rows = Tensor::empty(self.gpu, &[n, self.stride()]);
        let params = [n, dim, dim.next_multiple_of(4), self.stride()].map(|v| v as u32);
        self.gpu.dispatch(QUERY.with(&[("FORMAT", self.format)]), params, &[queries, &rows], n);
        rows
    }

    pub fn groups(&self) -> usize {
        self.items.div_ceil(self.group)
    }

    /// Words of 32 bits per query in a mask.
    pub fn words(&self) -> usize {
        self.items.div_ceil(GROUP) * 2
    }

    /// Cuts `n` queries into batches `(start, queries)` that need at most about [`BATCH_BYTES`] at `bytes` a query.
    pub fn batches(&self, n: usize, bytes: usize) -> Vec<(usize, usize)> {
        let binding = self.gpu.info().max_binding as usize;
        let most = (BATCH_BYTES.min(binding) / bytes / CUT * CUT).clamp(CUT, MAX_GROUPS / CUT * CUT);
        let (mut list, mut start) = (Vec::new(), 0);
        while start < n {
            let mut size = most.min(n - start);
            // A batch's lists of ids have to fit a binding, too.
            let ids = |size: usize| self.exclude.map_or(0, |e| (e.ends[start + size] - e.ends[start]) as usize + CUT);
            while size > CUT && 4 * ids(size) > binding {
                size = (size / 2).next_multiple_of(CUT);
            }
            list.push((start, size));
            start += size;
        }
        list
    }

    pub fn shards(&self) -> impl Iterator<Item = Shard> + '_ {
        let fit = self.gpu.info().max_binding as usize / (4 * self.row) / GROUP * GROUP;
        let size = fit.clamp(GROUP, MAX_GROUPS * GROUP);
        (0..self.items).step_by(size).map(move |start| {
            let items = size.min(self.items - start);
            let part = |x: &Tensor| cut(x, start, items);
            let table = part(self.table.words().0);
            let bias = self.bias.map_or_else(|| table.clone(), part); // something has to be bound
            Shard { start, items, table, bias }
        })
    }

    /// Bits of what queries `start..start + n` exclude, `[n, words]`; what `keep` names for a query stays in.
    pub fn mask(&self, start: usize, n: usize, keep: Option<&Tensor>) -> Option<Tensor> {
        let lists = self.exclude?;
        let mask = Tensor::zeros(self.gpu, &[n, self.words()]);
        // Only the ids of this batch: those of all queries may exceed a binding.
        let (begin, end) = (lists.ends[start] as usize / CUT * CUT, lists.ends[start + n] as usize);
        let ids = if end > begin { lists.ids.row_range(begin, end - begin) } else { lists.ids.clone() };
        let offsets = lists.offsets.row_range(start, n + 1);
        let params = [n as u32, begin as u32, self.words() as u32, self.items as u32];
        let keeping = [("KEEP", u32::from(keep.is_some()))];
        let keep = keep.unwrap_or(&offsets);
        self.gpu.dispatch(MASK.with(&keeping), params, &[&offsets, &ids, keep, &mask], n);
        Some(mask)
    }

    /// Scores all items for `queries: [n, stride]` and folds the scores.
    pub fn fold(&self, queries: &Tensor, mask: Option<&Tensor>, fold: &Fold) {
        let (n, _) = queries.rows();
        let (count, threshold, out) = match fold {
            Fold::Best(keys) => (0, queries, *keys),
            Fold::Count { threshold, counts } => (1, *threshold, *counts),
        };
        let lanes = self.gpu.info().eight_lanes();
        let tile = [1, 4, 8, 16].into_iter().find(|size| n <= *size).unwrap_or(2 * TILE);
        let fours = self.dim.is_multiple_of(4);
        let quad = Tensor::empty(self.gpu, &[4]); // stands in for the table of vectors that nobody reads
        let consts = [
            ("GROUP", self.group as u32),
            ("COUNT", count),
            ("EXCLUDE", u32::from(mask.is_some())),
            ("BIAS", u32::from(self.bias.is_some())),
            ("FORMAT", self.format),
            ("QUERIES", tile as u32),
            ("ALIGNED", u32::from(fours)),
        ];
        let (kernel, per_workgroup, tile) = match lanes {
            true => (LANES.with(&consts), LANES_GROUPS * self.group, tile.max(TILE)),
            false => (TILES.with(&consts[..5]), GROUP, TILE),
        };
        for shard in self.shards() {
            let params = self.params(n, &shard);
            let mut buffers: Vec<&Buffer> =
                vec![queries, &shard.table, &shard.bias, mask.unwrap_or(queries), threshold, out];
            if lanes {
                let table_if = |on: bool| if on { &shard.table } else { &quad };
                buffers.insert(2, table_if(self.format == 0 && fours));
                buffers.insert(2, table_if(self.format == 1));
            }
            let groups = [shard.items.div_ceil(per_workgroup) as u32, n.div_ceil(tile) as u32, 1];
            self.gpu.dispatch(kernel, params, &buffers, groups);
        }
    }

    pub fn params(&self, queries: usize, shard: &Shard) -> [u32; 9] {
        let (groups, first, words) = (self.groups(), self.first_item, self.words());
        [queries, shard.items, self.width(), shard.start, groups, first, words, self.row, self.stride()]
            .map(|v| v as u32)
    }
}
