use crate::gpu::Gpu;
use crate::tensor::Tensor;
use std::ops::Range;

/// How a row of [`SpaceTime::table`] divides into time, place, category and position, in this order. A size of zero
/// switches a part off.
///
/// Time gaps and distances fall between knots, `p = per_octave · log2(1 + x / unit)`, and the bias is linear between
/// two of them; what lies beyond the last knot counts as the last. Hence a part has no knots or at least two.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BiasLayout {
    pub time_knots: usize,
    pub place_knots: usize,
    /// Categories of events; the table has an entry for each (query, key) pair of them. A larger number counts as the
    /// last.
    pub categories: usize,
    /// Distances `|i − j|` in the sequence; longer ones count as the last.
    pub positions: usize,
    pub time_unit_s: f32,
    pub time_per_octave: f32,
    pub place_unit_km: f32,
    pub place_per_octave: f32,
}

impl BiasLayout {
    /// Entries of a table row.
    pub fn size(&self) -> usize {
        self.time_knots + self.place_knots + self.categories * self.categories + self.positions
    }

    /// Entries that the gradient keeps per row of queries: categories only of keys.
    pub(crate) fn bins(&self) -> usize {
        self.time_knots + self.place_knots + self.categories + self.positions
    }

    /// One bit for each part that there is.
    pub(crate) fn parts(&self) -> u32 {
        let bit = |on: bool, bit: u32| if on { bit } else { 0 };
        bit(self.time_knots > 0, 1)
            | bit(self.place_knots > 0, 2)
            | bit(self.categories > 0, 4)
            | bit(self.positions > 0, 8)
    }

    #[track_caller]
    pub(crate) fn expect_valid(&self, op: &str) {
        let knots = |what, n, unit: f32, per_octave: f32| {
            assert!(n != 1, "{op}: a bias with one {what} knot; expected none or at least two");
            assert!(
                n == 0 || (unit > 0.0 && per_octave > 0.0),
                "{op}: {what} knots need a positive unit and knots per octave, got {unit} and {per_octave}"
            );
        };
        knots("time", self.time_knots, self.time_unit_s, self.time_per_octave);
        knots("place", self.place_knots, self.place_unit_km, self.place_per_octave);
    }
}

/// When, where and what: one side of an event, as a query (the event to come, or asked for) or as a key (what happened).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    pub time_s: i64,
    /// Latitude and longitude in degrees; NaN is "unknown", and an unknown place adds nothing.
    pub lat_lon: [f32; 2],
    pub category: u32,
}

/// A learned bias of attention scores, from time gap, distance on the globe, categories and position. It is computed
/// inside the kernels and never stored for pairs.
#[derive(Debug, Clone)]
pub struct SpaceTime {
    /// `u32 [batch, len, 12]`, see [`SpaceTime::context`], or `[events, 12]`.
    pub context: Tensor,
    /// `f32 [heads, layout.size()]`.
    pub table: Tensor,
    pub layout: BiasLayout,
}

impl SpaceTime {
    /// Words per event of a context: query time and unit vector, key time and unit vector, query and key category, and
    /// two that are zero.
    pub const WORDS: usize = 12;

    /// The context of `[batch, len]` events: what each asks as a query and offers as a key. They differ where the time or
    /// place of the request is known. Times are stored as seconds since the row's first key, saturating at 34 years.
    ///
    /// # Panics
    /// When the slices are not of `batch · len` elements.
    #[track_caller]
    pub fn context(gpu: &Gpu, queries: &[Moment], keys: &[Moment], batch: usize, len: usize) -> Tensor {
        let n = batch * len;
        assert!(
            queries.len() == n && keys.len() == n,
            "context: {} queries and {} keys for batch {batch} and len {len}",
            queries.len(),
            keys.len()
        );
        let words = words(queries, keys, (0..batch).map(|row| row * len..(row + 1) * len));
        Tensor::from_slice(gpu, &words, &[batch, len, Self::WORDS])
    }

    /// The same `[events, 12]` for histories of `lengths` events that lie one behind the other: see
    /// [`Packed`](super::Packed).
    ///
    /// # Panics
    /// When the slices are not of as many elements as `lengths` say.
    #[track_caller]
    pub fn packed_context(gpu: &Gpu, queries: &[Moment], keys: &[Moment], lengths: &[usize]) -> Tensor {
        let n: usize = lengths.iter().sum();
        assert!(
            queries.len() == n && keys.len() == n,
            "packed_context: {} queries and {} keys for {n} events",
            queries.len(),
            keys.len()
        );
        let mut end = 0;
        let histories = lengths.iter().map(|length| {
            end += length;
            end - length..end
        });
        Tensor::from_slice(gpu, &words(queries, keys, histories), &[n, Self::WORDS])
    }
}

/// The words of a context, of one history after the other.
fn words(queries: &[Moment], keys: &[Moment], histories: impl Iterator<Item = Range<usize>>) -> Vec<u32> {
    let mut words = Vec::with_capacity(keys.len() * SpaceTime::WORDS);
    for history in histories {
        let origin = keys[history.clone()].first().map_or(0, |key| key.time_s);
        for (query, key) in queries[history.clone()].iter().zip(&keys[history]) {
            for moment in [query, key] {
                // Half the range of i32 each way, so that no difference overflows.
                let seconds = moment.time_s.saturating_sub(origin).clamp(-(1 << 30), 1 << 30);
                words.push(seconds as i32 as u32);
                words.extend(unit_vector(moment.lat_lon).map(f32::to_bits));
            }
            words.extend([query.category, key.category, 0, 0]);
        }
    }
    words
}

/// A point on the globe as a vector of length one; zero where latitude or longitude is not a number.
fn unit_vector([lat, lon]: [f32; 2]) -> [f32; 3] {
    if !lat.is_finite() || !lon.is_finite() {
        return [0.0; 3];
    }
    let (lat, lon) = (f64::from(lat).to_radians(), f64::from(lon).to_radians());
    [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()].map(|v| v as f32)
}
