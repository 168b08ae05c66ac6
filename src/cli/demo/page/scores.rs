//! The headline and the bars with intervals.

use std::fmt::Write;

use super::report::{Measured, Role, Score};
use super::svg::{Axis, Scale, esc, num, percent, picture};

fn of(scores: &[Score], role: Role) -> Option<&Score> {
    scores.iter().find(|score| score.role == role && score.hr10.value.is_finite())
}

/// The result in one sentence, from the scores that are there.
pub fn headline(scores: &[Score]) -> String {
    let Some(model) = of(scores, Role::Model) else { return "desirepath in a synthetic city".into() };
    let mut out = format!(
        "{} finds the place really visited next in its first ten for {} of people",
        model.name,
        percent(model.hr10.value, 0)
    );
    let mut rest = Vec::new();
    if let Some(optimum) = of(scores, Role::Optimum) {
        rest.push(format!("the best possible is {}", percent(optimum.hr10.value, 0)));
    }
    if let Some(ablation) = of(scores, Role::Ablation) {
        rest.push(format!("{} it is {}", ablation.name, percent(ablation.hr10.value, 0)));
    }
    if !rest.is_empty() {
        let _ = write!(out, "; {}", rest.join(", "));
    }
    out + "."
}

/// What the bars say, from the numbers alone.
pub fn caption(scores: &[Score]) -> String {
    let mut out = String::from(
        "The whole model and the optimum know the time of the request, as a server does. The closer a bar comes to the \
         dashed line, the optimum that nothing beats on average, the better; whiskers are 95\u{a0}% intervals over people.",
    );
    if let (Some(model), Some(optimum)) = (of(scores, Role::Model), of(scores, Role::Optimum)) {
        let hr = model.hr10.value / optimum.hr10.value;
        let ndcg = model.ndcg10.value / optimum.ndcg10.value;
        if hr.is_finite() && ndcg.is_finite() {
            let _ = write!(
                out,
                " {} reaches {} of the optimum’s HR@10 and {} of its NDCG@10.",
                model.name,
                percent(hr, 0),
                percent(ndcg, 0)
            );
        }
    }
    out
}

/// HR@10 and NDCG@10 side by side.
pub fn charts(scores: &[Score]) -> String {
    format!(
        "<div class=\"pair\">\n<div><h3>Hit rate, HR@10</h3>\n{}</div>\n<div><h3>NDCG@10</h3>\n{}</div>\n</div>\n",
        bars("hr10", "HR@10 of each method", scores, |s| s.hr10),
        bars("ndcg10", "NDCG@10 of each method", scores, |s| s.ndcg10)
    )
}

fn bars(id: &str, title: &str, scores: &[Score], of: fn(&Score) -> Measured) -> String {
    const LEFT: f64 = 170.0;
    const RIGHT: f64 = 402.0;
    const ROW: f64 = 34.0;
    let height = ROW * scores.len() as f64 + 34.0;
    let bottom = height - 26.0;
    let ends = scores.iter().flat_map(|s| [of(s).value, of(s).high, 0.0]);
    let x = Axis::new(Scale::Linear, ends, LEFT, RIGHT, true);
    let zero = x.at(0.0).unwrap_or(LEFT);
    let mut out = String::new();
    for (at, label) in x.ticks(38.0) {
        let _ = writeln!(out, "<path class=\"grid\" d=\"M{at:.1} 2V{bottom}\"/>");
        let _ = writeln!(out, "<text class=\"tick mid\" x=\"{at:.1}\" y=\"{}\">{label}</text>", bottom + 18.0);
    }
    let mut spoken = Vec::new();
    for (row, score) in scores.iter().enumerate() {
        let middle = ROW * (row as f64 + 0.5) + 3.0;
        let m = of(score);
        let class = match score.role {
            Role::Optimum => "optimum",
            Role::Model => "model",
            Role::Ablation | Role::Baseline => "other",
        };
        let (name, value) = (esc(&score.name), num(m.value, 3));
        spoken.push(format!("{} {value}", score.name));
        let baseline = middle + 4.5;
        let _ = writeln!(out, "<text class=\"name {class} end\" x=\"{}\" y=\"{baseline}\">{name}</text>", LEFT - 10.0);
        let _ = writeln!(out, "<text class=\"value {class} end\" x=\"458\" y=\"{baseline}\">{value}</text>");
        if let Some(end) = x.at(m.value) {
            let (y, width) = (middle - 9.0, (end - zero).max(0.0));
            let _ = writeln!(
                out,
                "<rect class=\"bar {class}\" x=\"{zero:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"18\"/>"
            );
        }
        if let (Some(low), Some(high)) = (x.at(m.low), x.at(m.high)) {
            let (y, up) = (middle, middle - 4.0);
            let _ = writeln!(
                out,
                "<path class=\"whisker\" d=\"M{low:.1} {y}H{high:.1}M{low:.1} {up}v8M{high:.1} {up}v8\"/>"
            );
        }
    }
    let optimum = scores.iter().find(|s| s.role == Role::Optimum).and_then(|s| x.at(of(s).value));
    if let Some(at) = optimum {
        let _ = writeln!(out, "<path class=\"best\" d=\"M{at:.1} 2V{bottom}\"/>");
    }
    picture(id, (460.0, height), title, &format!("{}.", spoken.join(", ")), &out)
}
