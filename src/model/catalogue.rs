use super::Neighbours;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

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
    /// What was had near each item; without it `Config::neighbours` does nothing.
    #[serde(skip)]
    pub neighbours: Option<Arc<Neighbours>>,
}

impl Catalogue {
    pub fn category_of(&self, item: usize) -> u32 {
        self.categories.as_ref().map_or(0, |c| c[item])
    }

    /// `[n_items + 1, dim]` waves over the map, from the width of the whole area down to a 64th of it, so that a linear
    /// map can place an item; zeros where unknown. Tancik et al. 2020, <https://arxiv.org/abs/2006.10739>
    pub(super) fn place_waves(&self) -> Option<(Vec<f32>, usize)> {
        let places = self.places.as_ref()?;
        let area = Area::of(places);
        let mut waves = vec![0.0; places.len() * WAVES];
        for (place, out) in places.iter().zip(waves.chunks_exact_mut(WAVES)) {
            area.waves(*place, out);
        }
        Some((waves, WAVES))
    }

    /// The same for one item more, on the map of the first `n_items`.
    pub(super) fn waves_of(&self, place: Option<[f32; 2]>, n_items: usize) -> Vec<f32> {
        let mut waves = vec![0.0; WAVES];
        let places = self.places.as_deref().unwrap_or_default();
        Area::of(&places[..places.len().min(n_items + 1)]).waves(place.unwrap_or([f32::NAN; 2]), &mut waves);
        waves
    }
}

const OCTAVES: usize = 6;
/// Sine and cosine of both axes.
const WAVES: usize = 4 * OCTAVES;

/// Where items are.
struct Area {
    south: f32,
    west: f32,
    /// A degree of longitude shrinks with the cosine of the latitude; both axes use one scale.
    shrink: f32,
    width: f32,
}

impl Area {
    fn of(places: &[[f32; 2]]) -> Area {
        let known = || places.iter().filter(|p| p[0].is_finite());
        let range = |axis: usize| {
            let ends = |(low, high): (f32, f32), p: &[f32; 2]| (low.min(p[axis]), high.max(p[axis]));
            known().fold((f32::MAX, f32::MIN), ends)
        };
        let ((south, north), (west, east)) = (range(0), range(1));
        let shrink = ((south + north) / 2.0).to_radians().cos();
        let width = (north - south).max((east - west) * shrink).max(1e-6);
        Area { south, west, shrink, width }
    }

    fn waves(&self, place: [f32; 2], out: &mut [f32]) {
        if !place[0].is_finite() {
            return;
        }
        let at = [(place[0] - self.south) / self.width, (place[1] - self.west) * self.shrink / self.width];
        for (octave, out) in out.chunks_exact_mut(4).enumerate() {
            for axis in 0..2 {
                let phase = std::f32::consts::PI * at[axis] * (1 << octave) as f32;
                out[2 * axis] = phase.sin();
                out[2 * axis + 1] = phase.cos();
            }
        }
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
