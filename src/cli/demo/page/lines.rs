//! Line charts: learning curves and learned biases beside the planted ones.

use std::fmt::Write;

use super::report::{BiasCurve, Curve, Line};
use super::svg::{Axis, Scale, esc, num, picture};

const SIZE: (f64, f64) = (460.0, 290.0);
const LEFT: f64 = 54.0;
const RIGHT: f64 = 444.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 240.0;

/// How a line looks: colour and dashes both tell the lines apart.
#[derive(Clone, Copy)]
enum Look {
    Truth,
    Series(usize),
}

impl Look {
    fn class(self) -> String {
        match self {
            Look::Truth => "line truth".into(),
            Look::Series(i) => format!("line c{} d{}", i % 6, i % 4),
        }
    }
}

struct Chart<'a> {
    id: &'a str,
    title: &'a str,
    desc: &'a str,
    x: (Scale, &'a str),
    y: &'a str,
    /// Rings the highest point of each line.
    ring_best: bool,
}

type Drawn = (Look, Vec<(f64, f64)>);

fn chart(chart: &Chart, lines: &[Drawn]) -> String {
    let points = || lines.iter().flat_map(|(_, points)| points.iter().copied());
    let x = Axis::new(chart.x.0, points().map(|p| p.0), LEFT, RIGHT, false);
    let y = Axis::new(Scale::Linear, points().map(|p| p.1), BOTTOM, TOP, true);
    let mut out = String::new();
    let _ = writeln!(out, "<text class=\"axis\" x=\"2\" y=\"14\">{}</text>", esc(chart.y));
    let _ = writeln!(out, "<text class=\"axis end\" x=\"{RIGHT}\" y=\"{}\">{}</text>", SIZE.1 - 8.0, esc(chart.x.1));
    for (at, label) in y.ticks(18.0) {
        let _ = writeln!(out, "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/>");
        let _ = writeln!(out, "<text class=\"tick end\" x=\"{}\" y=\"{:.1}\">{label}</text>", LEFT - 8.0, at + 4.0);
    }
    for (at, label) in x.ticks(52.0) {
        let _ = writeln!(out, "<path class=\"grid\" d=\"M{at:.1} {BOTTOM}v6\"/>");
        let _ = writeln!(out, "<text class=\"tick mid\" x=\"{at:.1}\" y=\"{}\">{label}</text>", BOTTOM + 20.0);
    }
    // the first series is drawn last, above the others
    for (look, points) in lines.iter().rev() {
        let placed: Vec<(f64, f64, f64)> =
            points.iter().filter_map(|&(px, py)| Some((x.at(px)?, y.at(py)?, py))).collect();
        let path: Vec<String> = placed.iter().map(|(px, py, _)| format!("{px:.1} {py:.1}")).collect();
        let class = look.class();
        match path.as_slice() {
            [] => {}
            [one] => drop(writeln!(out, "<path class=\"{class} dot\" d=\"M{one}h0.01\"/>")),
            more => drop(writeln!(out, "<path class=\"{class}\" d=\"M{}\"/>", more.join("L"))),
        }
        let best = placed.iter().reduce(|a, b| if b.2 > a.2 { b } else { a });
        if let Some((px, py, _)) = best.filter(|_| chart.ring_best) {
            let _ = writeln!(out, "<circle class=\"{class} ring\" cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"5\"/>");
        }
    }
    picture(chart.id, SIZE, chart.title, chart.desc, &out)
}

fn legend(entries: &[(Look, String)]) -> String {
    let mut out = String::from("<ul class=\"legend\">\n");
    for (look, label) in entries {
        let class = look.class();
        let _ = writeln!(
            out,
            "<li><svg class=\"key\" viewBox=\"0 0 34 10\" aria-hidden=\"true\"><path class=\"{class}\" d=\"M2 5H32\"/>\
             </svg>{}</li>",
            esc(label)
        );
    }
    out + "</ul>\n"
}

/// Training loss and validation NDCG@10 over the epochs, side by side under one legend.
pub fn learning(curves: &[Curve]) -> String {
    let looks = || curves.iter().enumerate().map(|(i, curve)| (Look::Series(i), curve));
    let entries: Vec<_> = looks().map(|(look, curve)| (look, curve.name.clone())).collect();
    let lines = |y: fn(&super::report::Epoch) -> f64| -> Vec<Drawn> {
        looks().map(|(look, curve)| (look, curve.points.iter().map(|e| (e.epoch as f64, y(e))).collect())).collect()
    };
    let loss = Chart {
        id: "loss",
        title: "Training loss over the epochs",
        desc: "One line per model; the numbers are in the table below.",
        x: (Scale::Count, "epoch"),
        y: "training loss",
        ring_best: false,
    };
    let ndcg = Chart {
        id: "validation",
        title: "Validation NDCG@10 over the epochs",
        desc: "One line per model with a ring at its best epoch; the numbers are in the table below.",
        y: "validation NDCG@10",
        ring_best: true,
        ..loss
    };
    format!(
        "{}<div class=\"pair\">\n{}{}</div>\n",
        legend(&entries),
        chart(&loss, &lines(|e| e.training_loss)),
        chart(&ndcg, &lines(|e| e.validation_ndcg10))
    )
}

/// The planted curve and the learned ones, each shifted to mean 0, with its legend.
pub fn bias(id: &str, title: &str, (scale, label): (Scale, &str), curve: &BiasCurve) -> String {
    let mut lines = vec![(Look::Truth, centred(&curve.planted))];
    let mut entries = vec![(Look::Truth, curve.planted.label.clone())];
    for (i, learned) in curve.learned.iter().enumerate() {
        lines.push((Look::Series(i), centred(learned)));
        entries
            .push((Look::Series(i), format!("{} (r\u{a0}=\u{a0}{})", learned.label, num(likeness(curve, learned), 2))));
    }
    let desc = format!("The planted curve and {} learned ones; the numbers are in the table below.", entries.len() - 1);
    let about = Chart { id, title, desc: &desc, x: (scale, label), y: "log-weight, mean 0", ring_best: false };
    format!("<div>\n<h3>{}</h3>\n{}{}</div>\n", esc(title), chart(&about, &lines), legend(&entries))
}

fn usable(line: &Line) -> Vec<(f64, f64)> {
    line.points.iter().copied().filter(|(x, y)| *x > 0.0 && x.is_finite() && y.is_finite()).collect()
}

/// The points that can be drawn, shifted to mean 0.
pub fn centred(line: &Line) -> Vec<(f64, f64)> {
    let points = usable(line);
    let mean = points.iter().map(|p| p.1).sum::<f64>() / points.len().max(1) as f64;
    points.into_iter().map(|(x, y)| (x, y - mean)).collect()
}

/// The y of ascending `points` at `x`, linear in log x; none outside.
pub fn read_off(points: &[(f64, f64)], x: f64) -> Option<f64> {
    let after = points.iter().position(|p| p.0 >= x)?;
    let (x1, y1) = points[after];
    if after == 0 || x1 == x {
        return (x1 == x).then_some(y1);
    }
    let (x0, y0) = points[after - 1];
    Some(y0 + (y1 - y0) * (x / x0).ln() / (x1 / x0).ln())
}

/// Pearson's correlation of a learned curve with the planted one; NaN where it is undefined.
pub fn likeness(curve: &BiasCurve, learned: &Line) -> f64 {
    let planted = usable(&curve.planted);
    let both: Vec<(f64, f64)> =
        usable(learned).iter().filter_map(|&(x, y)| Some((read_off(&planted, x)?, y))).collect();
    let n = both.len() as f64;
    let (a, b) = (both.iter().map(|p| p.0).sum::<f64>() / n, both.iter().map(|p| p.1).sum::<f64>() / n);
    let sum = |f: fn(f64, f64) -> f64| both.iter().map(|p| f(p.0 - a, p.1 - b)).sum::<f64>();
    sum(|p, q| p * q) / (sum(|p, _| p * p) * sum(|_, q| q * q)).sqrt()
}
