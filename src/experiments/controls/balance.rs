//! How well a control set matches the tested set.

use super::footprint::CellUse;
use super::stock::Cell;
use serde::{Deserialize, Serialize};

/// One cell of a balance table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellBalance {
    /// The suite.
    pub suite: String,
    /// `prompt` or `response`.
    pub part: crate::interventions::TextPart,
    /// Share of tokens at which the tested set acts.
    pub set_rate: f64,
    /// Share of tokens at which the control acts.
    pub control_rate: f64,
    /// Mean squared delta of the tested set.
    pub set_energy: f64,
    /// Mean squared delta of the control.
    pub control_energy: f64,
}

/// The comparison of a control with the tested set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Balance {
    /// Cell by cell.
    pub cells: Vec<CellBalance>,
    /// The worst relative gap over cells and over rate and energy.
    pub worst: f64,
}

/// Relative gaps are measured against at least this share of the set's largest cell: a cell in which
/// the set hardly acts asks of the control to hardly act there, not to match a vanishing number.
const FLOOR: f64 = 0.1;

impl Balance {
    pub(super) fn new(cells: &[Cell], set: &[CellUse], control: &[CellUse]) -> Self {
        let gaps = gaps(set, control);
        let cells = cells.iter().zip(set.iter().zip(control)).map(|(cell, (set, control))| CellBalance {
            suite: cell.suite.clone(),
            part: cell.part,
            set_rate: set.rate,
            control_rate: control.rate,
            set_energy: set.energy,
            control_energy: control.energy,
        });
        Self { cells: cells.collect(), worst: gaps.into_iter().fold(0.0, f64::max) }
    }
}

/// The relative gaps in rate and energy, cell after cell.
pub(super) fn gaps(set: &[CellUse], control: &[CellUse]) -> Vec<f64> {
    let largest = |value: fn(&CellUse) -> f64| set.iter().map(value).fold(0.0, f64::max);
    let (rate, energy) = (FLOOR * largest(|cell| cell.rate), FLOOR * largest(|cell| cell.energy));
    set.iter()
        .zip(control)
        .flat_map(|(set, control)| {
            [gap(set.rate, control.rate, rate), gap(set.energy, control.energy, energy)]
        })
        .collect()
}

/// `|control - set|` relative to `set`, or to `floor` where the set is smaller than that.
pub(super) fn gap(set: f64, control: f64, floor: f64) -> f64 {
    let difference = (control - set).abs();
    if difference == 0.0 { 0.0 } else { difference / set.abs().max(floor).max(f64::MIN_POSITIVE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_relative_and_idle_cells_do_not_ask_the_impossible() {
        let set = [CellUse { rate: 0.5, energy: 2.0 }, CellUse { rate: 0.0, energy: 0.0 }];
        let control = [CellUse { rate: 0.4, energy: 2.2 }, CellUse { rate: 0.005, energy: 0.4 }];
        let found = gaps(&set, &control);
        let expected = [0.2, 0.1, 0.1, 2.0];
        assert!(
            found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-9),
            "{found:?}"
        );
        assert_eq!(gaps(&set, &set), [0.0; 4]);
    }
}
