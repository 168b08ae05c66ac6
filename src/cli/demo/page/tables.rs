//! The numbers behind the pictures.

use std::fmt::Write;

use super::lines::{centred, likeness, read_off};
use super::report::{BiasCurve, Curve, Measured, Score};
use super::svg::{esc, num};

fn table(summary: &str, head: &[String], rows: &[Vec<String>]) -> String {
    let mut out = format!("<details>\n<summary>{}</summary>\n<div class=\"scroll\"><table>\n<thead><tr>", esc(summary));
    for (i, name) in head.iter().enumerate() {
        let class = if i == 0 { "" } else { " class=\"n\"" };
        let _ = write!(out, "<th{class}>{}</th>", esc(name));
    }
    out += "</tr></thead>\n<tbody>\n";
    for row in rows {
        out += "<tr>";
        for (i, cell) in row.iter().enumerate() {
            let class = if i == 0 { "" } else { " class=\"n\"" };
            let _ = write!(out, "<td{class}>{}</td>", esc(cell));
        }
        out += "</tr>\n";
    }
    out + "</tbody>\n</table></div>\n</details>\n"
}

pub fn scores(scores: &[Score]) -> String {
    let span = |m: Measured| format!("{} to {}", num(m.low, 4), num(m.high, 4));
    let rows: Vec<Vec<String>> = scores
        .iter()
        .map(|s| vec![s.name.clone(), num(s.hr10.value, 4), span(s.hr10), num(s.ndcg10.value, 4), span(s.ndcg10)])
        .collect();
    let head = ["method", "HR@10", "95 % interval", "NDCG@10", "95 % interval"].map(String::from);
    table("The scores as numbers", &head, &rows)
}

/// A row per epoch that any of the curves has.
pub fn learning(curves: &[Curve]) -> String {
    let mut epochs: Vec<usize> = curves.iter().flat_map(|c| c.points.iter().map(|p| p.epoch)).collect();
    epochs.sort_unstable();
    epochs.dedup();
    let mut head = vec!["epoch".to_string()];
    for curve in curves {
        head.extend([format!("{}: loss", curve.name), format!("{}: NDCG@10", curve.name)]);
    }
    let rows: Vec<Vec<String>> = epochs
        .into_iter()
        .map(|epoch| {
            let mut row = vec![epoch.to_string()];
            for curve in curves {
                let point = curve.points.iter().find(|p| p.epoch == epoch);
                let pair = point.map_or((f64::NAN, f64::NAN), |p| (p.training_loss, p.validation_ndcg10));
                row.extend([num(pair.0, 4), num(pair.1, 4)]);
            }
            row
        })
        .collect();
    table("The learning curves as numbers", &head, &rows)
}

/// At most this many rows of a bias curve: it is smooth.
const ROWS: usize = 24;

pub fn bias(summary: &str, unit: &str, curve: &BiasCurve) -> String {
    let planted = centred(&curve.planted);
    let learned: Vec<Vec<(f64, f64)>> = curve.learned.iter().map(centred).collect();
    let mut head = vec![unit.to_string(), curve.planted.label.clone()];
    head.extend(curve.learned.iter().map(|line| line.label.clone()));
    let stride = planted.len().div_ceil(ROWS).max(1);
    let mut rows: Vec<Vec<String>> = planted
        .iter()
        .step_by(stride)
        .map(|&(x, y)| {
            let mut row = vec![num(x, 3), num(y, 3)];
            row.extend(learned.iter().map(|line| num(read_off(line, x).unwrap_or(f64::NAN), 3)));
            row
        })
        .collect();
    let mut last = vec!["correlation r".to_string(), String::new()];
    last.extend(curve.learned.iter().map(|line| num(likeness(curve, line), 3)));
    rows.push(last);
    table(summary, &head, &rows)
}
