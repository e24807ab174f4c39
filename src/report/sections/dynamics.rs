//! When the features that end up risen began to rise: the dynamics of Shi et al.

use super::trajectories::legend;
use crate::error::Result;
use crate::report::axis::{Axis, Format};
use crate::report::data::Data;
use crate::report::figure::Figure;
use crate::report::marks::{Mark, Shape};
use crate::report::panel::Panel;

/// The figure, where checkpoints were compared.
pub(super) fn figure(data: &Data) -> Result<Option<Figure>> {
    let Some(most) = data.dynamics.iter().map(|row| row.top).max() else { return Ok(None) };
    let x = Axis::steps("step", data.dynamics.iter().map(|row| row.checkpoint));
    let y = Axis::fixed("shared with the end, %", 0.0, 1.03, Format::Percent);
    let mut marks = Vec::new();
    for (variant, shape) in data.trained().zip(Shape::ALL.iter().cycle()) {
        let mut points: Vec<(f64, f64)> = data
            .dynamics
            .iter()
            .filter(|row| row.variant == variant.name)
            .map(|row| (row.checkpoint as f64, row.overlap))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let colour = data.colour(&variant.name);
        marks.push(Mark::Line { points: points.clone(), colour, width: 2.0, dashed: false });
        marks.push(Mark::Points { points, colour, shape: *shape, radius: 4.0, opacity: 1.0, hollow: false });
    }
    let caption = format!(
        "Of the features (at most {most}) that rise most at a checkpoint, the share that is among those that have risen most at the checkpoint that the dictionary reads, on held-out stored tokens. The last point of a curve is that checkpoint, and 100 % by definition."
    );
    let panel = Panel::new("Overlap of the risen features", x, y, marks);
    Ok(Some(Figure::new("dynamics", "When features rise", caption, &[panel])?.with_legend(legend(data))))
}
