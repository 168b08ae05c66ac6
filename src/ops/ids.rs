use crate::gpu::Gpu;
use crate::tensor::Tensor;
use std::sync::{Arc, Mutex};

/// Row numbers of a table, checked and on the device. Cheap to clone.
///
/// The host's copy stays, because the gradient of a table needs the positions sorted by row; that is done when the first
/// gradient asks for it.
#[derive(Clone, Debug)]
pub struct Ids {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    host: Vec<u32>,
    device: Tensor,
    rows: usize,
    plan: Mutex<Option<(Option<u32>, Arc<Plan>)>>,
}

impl Ids {
    /// `ids` as `shape`, each below `rows`, the rows of the table that they point into.
    ///
    /// # Panics
    /// When an id is `rows` or more, or when their number is not the product of the shape.
    #[track_caller]
    pub fn new(gpu: &Gpu, ids: &[u32], shape: &[usize], rows: usize) -> Ids {
        if let Some(at) = ids.iter().position(|id| *id as usize >= rows) {
            panic!("embedding: id {} at position {at} leaves a table of {rows} rows", ids[at]);
        }
        let device = Tensor::from_slice(gpu, ids, shape);
        Ids { inner: Arc::new(Inner { host: ids.to_vec(), device, rows, plan: Mutex::new(None) }) }
    }

    /// The ids on the device, as `u32`.
    pub fn tensor(&self) -> &Tensor {
        &self.inner.device
    }

    pub fn shape(&self) -> &[usize] {
        self.inner.device.shape()
    }

    /// Rows of the table that the ids point into.
    pub fn rows(&self) -> usize {
        self.inner.rows
    }

    /// The ids on the host.
    pub fn host(&self) -> &[u32] {
        &self.inner.host
    }

    /// Which positions add up to which row of a table's gradient. The last answer is kept.
    pub(super) fn plan(&self, padding: Option<u32>) -> Arc<Plan> {
        let mut kept = self.inner.plan.lock().expect("plan lock");
        match &*kept {
            Some((of, plan)) if *of == padding => plan.clone(),
            _ => {
                let plan = Arc::new(Plan::new(self.inner.device.gpu(), &self.inner.host, self.inner.rows, padding));
                *kept = Some((padding, plan.clone()));
                plan
            }
        }
    }
}

/// Marks an entry of an order as a row of the partial sums: the constant of the same name in the shader.
const PARTIAL: u32 = 1 << 31;
/// Longest segment that one thread adds up alone, until the square root of the longest segment is more.
const CHUNK: usize = 64;

/// Two rounds of segment sums. Rows with many positions are cut into chunks, which the first round adds up.
#[derive(Debug)]
pub(super) struct Plan {
    /// The chunks of long rows, if there are any: `(order, starts, number of chunks)`.
    pub chunks: Option<(Tensor, Tensor, usize)>,
    pub order: Tensor,
    /// `[rows + 1]`
    pub starts: Tensor,
}

impl Plan {
    fn new(gpu: &Gpu, ids: &[u32], rows: usize, padding: Option<u32>) -> Plan {
        let (positions, starts) = sort(ids, rows, padding);
        let longest = starts.windows(2).map(|w| (w[1] - w[0]) as usize).max().unwrap_or(0);
        let chunk = CHUNK.max(longest.isqrt());
        let upload = |data: &[u32]| match data.is_empty() {
            true => Tensor::from_slice(gpu, &[0u32], &[1]), // nothing reads it, but something must be bound
            false => Tensor::from_slice(gpu, data, &[data.len()]),
        };
        if longest <= chunk {
            return Plan { chunks: None, order: upload(&positions), starts: upload(&starts) };
        }
        let (mut first_order, mut first_starts) = (Vec::new(), vec![0]);
        let (mut order, mut last_starts) = (Vec::new(), vec![0]);
        for row in starts.windows(2) {
            let members = &positions[row[0] as usize..row[1] as usize];
            if members.len() <= chunk {
                order.extend_from_slice(members);
            } else {
                for piece in members.chunks(chunk) {
                    order.push(PARTIAL + first_starts.len() as u32 - 1);
                    first_order.extend_from_slice(piece);
                    first_starts.push(first_order.len() as u32);
                }
            }
            last_starts.push(order.len() as u32);
        }
        let chunks = Some((upload(&first_order), upload(&first_starts), first_starts.len() - 1));
        Plan { chunks, order: upload(&order), starts: upload(&last_starts) }
    }
}

/// Counting sort: positions grouped by row in rising order, and where each row's group starts. Padding takes no part.
fn sort(ids: &[u32], rows: usize, padding: Option<u32>) -> (Vec<u32>, Vec<u32>) {
    let counted = || ids.iter().enumerate().filter(|(_, id)| Some(**id) != padding);
    let mut starts = vec![0u32; rows + 1];
    for (_, id) in counted() {
        starts[*id as usize + 1] += 1;
    }
    for row in 0..rows {
        starts[row + 1] += starts[row];
    }
    let mut next = starts.clone();
    let mut positions = vec![0u32; starts[rows] as usize];
    for (position, id) in counted() {
        positions[next[*id as usize] as usize] = position as u32;
        next[*id as usize] += 1;
    }
    (positions, starts)
}
