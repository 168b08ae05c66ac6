//! Time and memory side by side, both axes logarithmic, so that a slope of one is linear growth.

use super::{Chart, Point};
use desirepath::{Error, Result};
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;

const SIZE: (u32, u32) = (960, 400);
/// Told apart by those who do not see all colours; Okabe & Ito 2008.
const COLOURS: [RGBColor; 3] = [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115)];

pub fn svg(chart: &Chart, source: &str) -> Result<String> {
    let mut text = String::new();
    let drawn = draw(&mut text, chart, source);
    drawn.map(|()| text).map_err(|e| Error::Config(format!("drawing {}: {e}", chart.slug)))
}

type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

fn draw(text: &mut String, chart: &Chart, source: &str) -> Drawn {
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let body = root.titled(&format!("{} by {}", chart.title, chart.axis), ("sans-serif", 18))?;
    let (plots, foot) = body.split_vertically(SIZE.1 - 50);
    foot.draw_text(source, &("sans-serif", 12).into_text_style(&foot), (12, 0))?;
    let (left, right) = plots.split_horizontally(SIZE.0 / 2);
    panel(&left, chart, "milliseconds", |p| p.ms)?;
    panel(&right, chart, "MiB beyond what stays", |p| p.extra_bytes as f64 / f64::from(1 << 20))?;
    root.present()?;
    Ok(())
}

/// From a power of ten to a power of ten around all values.
fn decades(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (low, high) = values.filter(|v| *v > 0.0).fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return 1.0..10.0;
    }
    let (low, high) = (10f64.powf(low.log10().floor()), 10f64.powf(high.log10().ceil()));
    low..if high > low { high } else { 10.0 * low }
}

fn panel<DB: DrawingBackend>(
    area: &DrawingArea<DB, plotters::coord::Shift>,
    chart: &Chart,
    unit: &str,
    value: fn(&Point) -> f64,
) -> Drawn
where
    DB::ErrorType: 'static,
{
    let all = || chart.lines.iter().flat_map(|line| &line.points);
    let widest = |range: std::ops::Range<f64>| range.start / 1.15..range.end * 1.15;
    let (low, high) = all().fold((f64::MAX, 1.0), |(l, h): (f64, f64), p| (l.min(p.at as f64), h.max(p.at as f64)));
    let x = widest(low.min(high)..high.max(low.min(high) * 2.0));
    let mut plot = ChartBuilder::on(area)
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(x.log_scale(), decades(all().map(value)).log_scale())?;
    axes(&mut plot, chart.axis, unit)?;
    for (line, colour) in chart.lines.iter().zip(COLOURS.iter().cycle()) {
        let points = || line.points.iter().map(|p| (p.at as f64, value(p))).filter(|(_, y)| *y > 0.0);
        let style = colour.stroke_width(2);
        plot.draw_series(LineSeries::new(points(), style))?
            .label(line.name.clone())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        plot.draw_series(points().map(|at| Circle::new(at, 3, colour.filled())))?;
    }
    plot.configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .label_font(("sans-serif", 13))
        .draw()?;
    Ok(())
}

fn axes<'a, DB, X, Y>(plot: &mut ChartContext<'a, DB, Cartesian2d<X, Y>>, axis: &str, unit: &str) -> Drawn
where
    DB: DrawingBackend + 'a,
    DB::ErrorType: 'static,
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    plot.configure_mesh()
        .x_desc(axis)
        .y_desc(unit)
        .light_line_style(BLACK.mix(0.05))
        .bold_line_style(BLACK.mix(0.15))
        .label_style(("sans-serif", 12))
        .x_label_formatter(&|v| short(*v))
        .y_label_formatter(&|v| short(*v))
        .draw()?;
    Ok(())
}

fn short(v: f64) -> String {
    match v {
        v if v >= 1e6 => format!("{} M", v / 1e6),
        v if v >= 1e3 => format!("{} k", v / 1e3),
        v => format!("{v}"),
    }
}
