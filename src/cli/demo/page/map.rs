//! One person's attention on the map of the city.

use std::fmt::Write;

use super::report::MapPicture;
use super::svg::{distance, esc, num, picture};

const WIDTH: f64 = 560.0;
const MARGIN: f64 = 24.0;
/// The largest circle of attention.
const RADIUS: f64 = 22.0;
/// Below the city, for the scale bar.
const FOOT: f64 = 26.0;

/// North up, a degree of longitude shortened by the latitude.
struct Projection {
    west: f64,
    north: f64,
    /// Pixels per kilometre.
    zoom: f64,
    km_per_lon: f64,
    height: f64,
}

const KM_PER_DEGREE: f64 = 111.195;

impl Projection {
    fn new(picture: &MapPicture) -> Option<Projection> {
        let (mut lat, mut lon) = ((f64::MAX, f64::MIN), (f64::MAX, f64::MIN));
        for place in picture.places.iter().filter(|p| p.lat.is_finite() && p.lon.is_finite()) {
            lat = (lat.0.min(place.lat), lat.1.max(place.lat));
            lon = (lon.0.min(place.lon), lon.1.max(place.lon));
        }
        if lat.0 > lat.1 {
            return None;
        }
        let km_per_lon = KM_PER_DEGREE * (0.5 * (lat.0 + lat.1)).to_radians().cos().max(0.01);
        let (wide, tall) = ((lon.1 - lon.0) * km_per_lon, (lat.1 - lat.0) * KM_PER_DEGREE);
        let inner = WIDTH - 2.0 * MARGIN;
        // a city much taller than wide must not fill two screens
        let zoom = (inner / wide.max(0.001)).min(1.2 * inner / tall.max(0.001));
        let west = lon.0 - 0.5 * (inner / zoom - wide) / km_per_lon;
        Some(Projection { west, north: lat.1, zoom, km_per_lon, height: tall * zoom + 2.0 * MARGIN + FOOT })
    }

    fn at(&self, picture: &MapPicture, place: usize) -> Option<(f64, f64)> {
        let place = picture.places.get(place)?;
        let x = MARGIN + (place.lon - self.west) * self.km_per_lon * self.zoom;
        let y = MARGIN + (self.north - place.lat) * KM_PER_DEGREE * self.zoom;
        (x.is_finite() && y.is_finite()).then_some((x, y))
    }
}

/// The map with its legend; nothing where no place has coordinates.
pub fn map(shown: &MapPicture) -> String {
    let Some(projection) = Projection::new(shown) else { return String::new() };
    let body = [
        places(shown, &projection),
        path(shown, &projection),
        attention(shown, &projection),
        marks(shown, &projection),
        scale_bar(&projection),
    ]
    .concat();
    let desc = format!(
        "{} places, the last {} visits as circles sized by attention, {} recommended places numbered from the best.",
        shown.places.len(),
        shown.events.len(),
        shown.recommended.len()
    );
    let title = format!("Attention of {} on the map", shown.person);
    format!(
        "<div class=\"map\">\n{}{}</div>\n",
        picture("map", (WIDTH, projection.height.round()), &title, &desc, &body),
        legend(shown)
    )
}

fn places(shown: &MapPicture, projection: &Projection) -> String {
    let mut out = String::new();
    for (i, place) in shown.places.iter().enumerate() {
        let Some((x, y)) = projection.at(shown, i) else { continue };
        let kind = shown.kinds.get(place.kind).map_or("", String::as_str);
        let _ = writeln!(
            out,
            "<circle class=\"place k{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"><title>{} ({})</title></circle>",
            place.kind % 8,
            esc(&place.name),
            esc(kind)
        );
    }
    out
}

/// The way between the visits, fainter the longer ago.
fn path(shown: &MapPicture, projection: &Projection) -> String {
    let mut out = String::new();
    for (i, pair) in shown.events.windows(2).enumerate() {
        let ends = (projection.at(shown, pair[0].place), projection.at(shown, pair[1].place));
        let (Some((x0, y0)), Some((x1, y1))) = ends else { continue };
        let opacity = 0.08 + 0.4 * (i + 1) as f64 / shown.events.len() as f64;
        let _ = writeln!(out, "<path class=\"way\" opacity=\"{opacity:.2}\" d=\"M{x0:.1} {y0:.1}L{x1:.1} {y1:.1}\"/>");
    }
    out
}

/// The attention of all visits to a place together, in order of the first visit: circles on top of each other would
/// hide it.
fn weights(shown: &MapPicture) -> Vec<(usize, f64, usize)> {
    let mut sums: Vec<(usize, f64, usize)> = Vec::new();
    for event in shown.events.iter().filter(|e| e.weight.is_finite() && e.weight >= 0.0) {
        match sums.iter_mut().find(|sum| sum.0 == event.place) {
            Some(sum) => *sum = (sum.0, sum.1 + event.weight, sum.2 + 1),
            None => sums.push((event.place, event.weight, 1)),
        }
    }
    sums
}

fn attention(shown: &MapPicture, projection: &Projection) -> String {
    let sums = weights(shown);
    let most = sums.iter().map(|s| s.1).fold(0.0, f64::max);
    let mut out = String::new();
    for (place, weight, visits) in sums {
        let Some((x, y)) = projection.at(shown, place) else { continue };
        // the area tells the weight
        let share = if most > 0.0 { weight / most } else { 0.0 };
        let (r, name) = ((RADIUS * share.sqrt()).max(2.0), esc(&shown.places[place].name));
        let _ = writeln!(
            out,
            "<circle class=\"attention\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r:.1}\" fill-opacity=\"{:.2}\">\
             <title>{name}: attention {} over {visits} visits</title></circle>",
            0.12 + 0.3 * share,
            num(weight, 3)
        );
    }
    out
}

const STAR: &str = "M0 -10.0L2.5 -3.4L9.5 -3.1L4.0 1.3L5.9 8.1L0 4.2L-5.9 8.1L-4.0 1.3L-9.5 -3.1L-2.5 -3.4Z";

/// Where the person is, where to go, where they really went.
fn marks(shown: &MapPicture, projection: &Projection) -> String {
    let mut out = String::new();
    if let Some((x, y)) = shown.events.last().and_then(|event| projection.at(shown, event.place)) {
        let _ = writeln!(out, "<path class=\"last\" d=\"M{x:.1} {:.1}l7 7-7 7-7-7Z\"/>", y - 7.0);
    }
    let spots: Vec<(f64, f64)> = shown.recommended.iter().filter_map(|&p| projection.at(shown, p)).collect();
    for &(x, y) in &spots {
        let _ = writeln!(out, "<circle class=\"pick\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\"/>");
    }
    if let Some((x, y)) = shown.next.and_then(|next| projection.at(shown, next)) {
        let _ = writeln!(out, "<path class=\"next\" transform=\"translate({x:.1} {y:.1})\" d=\"{STAR}\"/>");
    }
    let mut taken = spots.clone();
    taken.extend(shown.next.and_then(|next| projection.at(shown, next)));
    for (rank, &(x, y)) in spots.iter().enumerate() {
        let (tx, ty) = free_spot((x, y), projection.height, &taken);
        taken.push((tx, ty));
        let _ = writeln!(out, "<text class=\"rank mid\" x=\"{tx:.1}\" y=\"{:.1}\">{}</text>", ty + 5.0, rank + 1);
    }
    out
}

/// The place for a label around a ring that is furthest from everything taken, the nearest good one first.
fn free_spot((x, y): (f64, f64), height: f64, taken: &[(f64, f64)]) -> (f64, f64) {
    let clearance =
        |(tx, ty): (f64, f64)| taken.iter().map(|(ox, oy)| (tx - ox).hypot(ty - oy)).fold(f64::MAX, f64::min);
    let mut best = ((x, y), f64::MIN);
    for radius in [17.0, 23.0, 31.0] {
        for turn in 0..8 {
            let angle = f64::from(turn) * std::f64::consts::FRAC_PI_4;
            let spot = (x + radius * angle.cos(), y + radius * angle.sin());
            let inside = spot.0 > 8.0 && spot.0 < WIDTH - 8.0 && spot.1 > 8.0 && spot.1 < height - FOOT;
            let clear = clearance(spot).min(15.0);
            if inside && clear > best.1 {
                best = (spot, clear);
            }
        }
    }
    best.0
}

fn scale_bar(projection: &Projection) -> String {
    let fits = |km: &f64| km * projection.zoom <= WIDTH / 4.0;
    let lengths = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];
    let Some(km) = lengths.into_iter().rev().find(fits) else { return String::new() };
    let (length, y) = (km * projection.zoom, projection.height - 12.0);
    let label = if km < 1.0 { distance(km) } else { format!("{km:.0}\u{a0}km") };
    format!(
        "<path class=\"scale\" d=\"M{MARGIN} {:.1}v8h{length:.1}v-8\"/>\n\
         <text class=\"tick\" x=\"{:.1}\" y=\"{y:.1}\">{label}</text>\n",
        y - 8.0,
        MARGIN + length + 8.0
    )
}

fn legend(shown: &MapPicture) -> String {
    let key = |body: &str, label: &str| {
        format!("<li><svg class=\"mark\" viewBox=\"-12 -12 24 24\" aria-hidden=\"true\">{body}</svg>{label}</li>\n")
    };
    let mut out = String::from("<ul class=\"legend tall\">\n");
    out += &key("<circle class=\"attention\" r=\"10\" fill-opacity=\"0.3\"/>", "visited before, sized by attention");
    out += &key("<path class=\"last\" d=\"M0-7L7 0 0 7-7 0Z\"/>", "where they are now");
    out += &key("<circle class=\"pick\" r=\"6\"/>", "recommended, numbered from the best");
    if shown.next.is_some() {
        out += &key(&format!("<path class=\"next\" d=\"{STAR}\"/>"), "where they really went next");
    }
    for (i, kind) in shown.kinds.iter().enumerate() {
        out += &key(&format!("<circle class=\"place k{}\" r=\"5\"/>", i % 8), &esc(kind));
    }
    out + "</ul>\n"
}
