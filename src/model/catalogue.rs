use serde::{Deserialize, Serialize};

/// What the model knows of users and items beside their events. Index 0 is padding and "never seen".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Catalogue {
    pub n_users: usize,
    pub n_items: usize,
    /// `[n_items + 1]` category of each item, 0 where unknown.
    pub categories: Option<Vec<u32>>,
    /// Categories without the unknown one.
    pub n_categories: usize,
    /// `[n_items + 1]` latitude and longitude in degrees, NaN where unknown.
    #[serde(with = "places")]
    pub places: Option<Vec<[f32; 2]>>,
    /// Ratings say what was liked.
    pub rated: bool,
    /// Events have places of their own, whether or not items have.
    pub event_places: bool,
    /// `[n_items + 1, feature_dim]`
    pub features: Vec<f32>,
    pub feature_dim: usize,
}

impl Catalogue {
    pub fn category_of(&self, item: usize) -> u32 {
        self.categories.as_ref().map_or(0, |c| c[item])
    }

    /// `[n_items + 1, dim]` waves over the map, from the width of the whole area down to a 64th of it, so that a linear
    /// map can place an item; zeros where unknown. Tancik et al. 2020, <https://arxiv.org/abs/2006.10739>
    pub(super) fn place_waves(&self) -> Option<(Vec<f32>, usize)> {
        const OCTAVES: usize = 6;
        let places = self.places.as_ref()?;
        let known = || places.iter().filter(|p| p[0].is_finite());
        let range = |axis: usize| {
            let ends = |(low, high): (f32, f32), p: &[f32; 2]| (low.min(p[axis]), high.max(p[axis]));
            known().fold((f32::MAX, f32::MIN), ends)
        };
        let ((south, north), (west, east)) = (range(0), range(1));
        // A degree of longitude shrinks with the cosine of the latitude; both axes use one scale.
        let shrink = ((south + north) / 2.0).to_radians().cos();
        let width = (north - south).max((east - west) * shrink).max(1e-6);
        let dim = 4 * OCTAVES;
        let mut waves = vec![0.0; places.len() * dim];
        for (place, out) in places.iter().zip(waves.chunks_exact_mut(dim)) {
            if !place[0].is_finite() {
                continue;
            }
            let at = [(place[0] - south) / width, (place[1] - west) * shrink / width];
            for (octave, out) in out.chunks_exact_mut(4).enumerate() {
                for axis in 0..2 {
                    let phase = std::f32::consts::PI * at[axis] * (1 << octave) as f32;
                    out[2 * axis] = phase.sin();
                    out[2 * axis + 1] = phase.cos();
                }
            }
        }
        Some((waves, dim))
    }
}

/// JSON has no NaN: unknown places are null.
mod places {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    type Places = Option<Vec<[f32; 2]>>;

    pub fn serialize<S: Serializer>(places: &Places, serializer: S) -> Result<S::Ok, S::Error> {
        let known = |p: &[f32; 2]| p[0].is_finite().then_some(*p);
        places.as_ref().map(|list| list.iter().map(known).collect::<Vec<_>>()).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Places, D::Error> {
        let list = Option::<Vec<Option<[f32; 2]>>>::deserialize(deserializer)?;
        Ok(list.map(|list| list.into_iter().map(|p| p.unwrap_or([f32::NAN; 2])).collect()))
    }
}
