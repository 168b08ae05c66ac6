//! Text that is safe in HTML, numbers that never read NaN, axes and their ticks.

/// `text` for use between tags or in a quoted attribute.
pub fn esc(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML allows no other control characters
            c if c.is_control() && c != '\n' && c != '\t' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// `x` with `digits` decimals, a dash where there is no number.
pub fn num(x: f64, digits: usize) -> String {
    if x.is_finite() { format!("{x:.digits$}").replace('-', "\u{2212}") } else { "–".into() }
}

/// A share between 0 and 1 as a percentage.
pub fn percent(x: f64, digits: usize) -> String {
    format!("{}\u{a0}%", num(x * 100.0, digits))
}

/// With thin spaces between thousands.
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

/// A distance as a person would say it.
pub fn distance(km: f64) -> String {
    match km {
        km if !km.is_finite() => "–".into(),
        km if km < 0.9995 => format!("{:.0}\u{a0}m", km * 1000.0),
        km if km < 9.95 => format!("{km:.1}\u{a0}km"),
        km => format!("{km:.0}\u{a0}km"),
    }
}

/// A picture with a name and a description for those who cannot see it. `id` is unique on the page.
pub fn picture(id: &str, (width, height): (f64, f64), title: &str, desc: &str, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-labelledby=\"{id}-title {id}-desc\">\n<title id=\"{id}-title\">{}</title>\n\
         <desc id=\"{id}-desc\">{}</desc>\n{body}</svg>\n",
        esc(title),
        esc(desc)
    )
}

/// What an axis measures, and so how it is spaced and labelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    Linear,
    /// Whole numbers, linear.
    Count,
    /// Hours, logarithmic.
    Hours,
    /// Kilometres, logarithmic.
    Kilometres,
}

// the ones that must not go missing where room is short come first
const HOURS: [(f64, &str); 10] = [
    (1.0, "1 h"),
    (24.0, "1 day"),
    (168.0, "1 week"),
    (5.0 / 60.0, "5 min"),
    (1.0 / 60.0, "1 min"),
    (720.0, "30 days"),
    (8760.0, "1 year"),
    (6.0, "6 h"),
    (0.25, "15 min"),
    (2160.0, "90 days"),
];

const KILOMETRES: [(f64, &str); 10] = [
    (1.0, "1 km"),
    (10.0, "10 km"),
    (0.1, "100 m"),
    (100.0, "100 km"),
    (0.01, "10 m"),
    (1000.0, "1000 km"),
    (0.3, "300 m"),
    (3.0, "3 km"),
    (30.0, "30 km"),
    (0.03, "30 m"),
];

/// Values of one scale laid out between two coordinates.
pub struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// Spans the finite ones of `values`; a linear axis that is read off (`round`) ends at ticks.
    pub fn new(scale: Scale, values: impl Iterator<Item = f64>, from: f64, to: f64, round: bool) -> Axis {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for x in values.map(|x| warp(scale, x)).filter(|x| x.is_finite()) {
            (low, high) = (low.min(x), high.max(x));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if high - low < 1e-9 * high.abs().max(1e-3) {
            // one value: put it in the middle
            let room = if scale == Scale::Count { 1.0 } else { 0.1 * high.abs().max(0.1) };
            (low, high) = (low - room, high + room);
        }
        if round {
            let step = step(low, high);
            (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        }
        Axis { scale, low, high, from, to }
    }

    /// None for what has no place on the axis.
    pub fn at(&self, value: f64) -> Option<f64> {
        let x = warp(self.scale, value);
        x.is_finite().then(|| self.from + (x - self.low) / (self.high - self.low) * (self.to - self.from))
    }

    /// Coordinate and label, at least `room` apart.
    pub fn ticks(&self, room: f64) -> Vec<(f64, String)> {
        let inside = |x: f64| x >= self.low - 1e-9 && x <= self.high + 1e-9;
        let all: Vec<(f64, String)> = match self.scale {
            Scale::Hours => HOURS.iter().map(|&(x, label)| (x, label.to_string())).collect(),
            Scale::Kilometres => KILOMETRES.iter().map(|&(x, label)| (x, label.to_string())).collect(),
            Scale::Linear | Scale::Count => {
                let mut step = step(self.low, self.high);
                if self.scale == Scale::Count {
                    step = step.max(1.0);
                }
                let digits = if step >= 1.0 { 0 } else { (-step.log10().floor()) as usize };
                let first = (self.low / step - 1e-6).ceil();
                // adding 0 turns -0 into 0
                (0..12).map(|i| (first + f64::from(i)) * step + 0.0).map(|x| (x, num(x, digits))).collect()
            }
        };
        let mut kept: Vec<(f64, String)> = Vec::new();
        for (value, label) in all {
            let Some(at) = self.at(value).filter(|_| inside(warp(self.scale, value))) else { continue };
            if kept.iter().all(|(other, _)| (at - other).abs() >= room) {
                kept.push((at, label.replace(' ', "\u{a0}")));
            }
        }
        kept
    }
}

fn warp(scale: Scale, x: f64) -> f64 {
    match scale {
        Scale::Linear | Scale::Count => x,
        Scale::Hours | Scale::Kilometres if x > 0.0 => x.ln(),
        Scale::Hours | Scale::Kilometres => f64::NAN,
    }
}

/// 1, 2 or 5 times a power of ten: four to eight steps in the span.
fn step(low: f64, high: f64) -> f64 {
    let rough = (high - low) / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    match rough / power {
        r if r < 1.5 => power,
        r if r < 3.5 => 2.0 * power,
        r if r < 7.5 => 5.0 * power,
        _ => 10.0 * power,
    }
}
