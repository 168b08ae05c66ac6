//! The reliability curve, over how many events each of its points stands for.

use desirepath::eval::calibration::{BINS, Bin, Calibration};
use desirepath::{Error, Result};
use plotters::prelude::*;

const SIZE: (u32, u32) = (560, 620);
/// Told apart by those who do not see all colours; Okabe & Ito 2008.
const BLUE: RGBColor = RGBColor(0, 114, 178);

pub fn svg(calibration: &Calibration, source: &str) -> Result<String> {
    let mut text = String::new();
    let drawn = draw(&mut text, calibration, source);
    drawn.map(|()| text).map_err(|e| Error::Config(format!("drawing the reliability curve: {e}")))
}

type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

fn draw(text: &mut String, calibration: &Calibration, source: &str) -> Drawn {
    let Calibration { like, events, ece, brier, .. } = calibration;
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let title = format!("Rated {like} or more: calibration error {ece:.3}, Brier score {brier:.3}");
    let body = root.titled(&title, ("sans-serif", 16))?;
    let (plots, foot) = body.split_vertically(SIZE.1 - 50);
    let note = format!("{events} held-out ratings; {source}");
    foot.draw_text(&note, &("sans-serif", 12).into_text_style(&foot), (12, 0))?;
    let (curve, counts) = plots.split_vertically(SIZE.1 - 190);
    reliability(&curve, calibration)?;
    histogram(&counts, calibration)?;
    root.present()?;
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn reliability(area: &Area, calibration: &Calibration) -> Drawn {
    let mut plot = ChartBuilder::on(area)
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
    plot.configure_mesh()
        .x_desc("mean probability")
        .y_desc("share liked")
        .light_line_style(BLACK.mix(0.05))
        .bold_line_style(BLACK.mix(0.15))
        .label_style(("sans-serif", 12))
        .draw()?;
    // Where everything calibrated lies.
    plot.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], BLACK.mix(0.4)))?;
    let points: Vec<(f64, f64)> = calibration.bins.iter().filter_map(|b| b.probability.zip(b.liked)).collect();
    plot.draw_series(LineSeries::new(points.iter().copied(), BLUE.stroke_width(2)))?;
    plot.draw_series(points.iter().map(|at| Circle::new(*at, 4, BLUE.filled())))?;
    Ok(())
}

fn histogram(area: &Area, calibration: &Calibration) -> Drawn {
    let most = calibration.bins.iter().map(|b| b.events).max().unwrap_or(0).max(1) as f64;
    let mut plot = ChartBuilder::on(area)
        .margin(10)
        .x_label_area_size(24)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..1.0, 0.0..1.05 * most)?;
    plot.configure_mesh()
        .disable_x_mesh()
        .y_desc("events")
        .x_labels(BINS + 1)
        .y_labels(4)
        .light_line_style(BLACK.mix(0.05))
        .bold_line_style(BLACK.mix(0.15))
        .label_style(("sans-serif", 12))
        .draw()?;
    let bar = |b: &Bin| Rectangle::new([(b.from + 0.01, 0.0), (b.to - 0.01, b.events as f64)], BLUE.mix(0.6).filled());
    plot.draw_series(calibration.bins.iter().map(bar))?;
    Ok(())
}
