//! What changed between the models themselves, without a dictionary: predictions, heads, directions, weights, what a
//! probe reads, and the mean difference on the first tokens. The whole tables lie beside the page.

mod differences;
mod directions;
mod divergences;
mod heads;
mod probes;
mod weights;

use crate::report::data::Data;
use crate::report::numbers::short;
use crate::report::view::{Block, Cell, Section};

/// The section.
pub(in crate::report) fn section(data: &Data) -> Section {
    let (id, title) = ("models", "What changed in the models");
    let sheets = [
        divergences::sheet(data).map(Block::Table),
        heads::sheet(data).map(Block::Table),
        directions::sheet(data).map(Block::Table),
        weights::sheet(data).map(Block::Table),
        divergences::places(data).map(Block::Folded),
        probes::sheet(data).map(Block::Folded),
        differences::sheet(data).map(Block::Folded),
    ];
    let mut blocks: Vec<Block> = sheets.into_iter().flatten().collect();
    if blocks.is_empty() {
        return Section::absent(id, title, "divergences");
    }
    let words = "Everything here is read on the selecting half or on neutral texts, describes these checkpoints, and makes no claim: nothing is corrected for how much is looked at.";
    blocks.insert(0, Block::Paragraph(words.to_owned()));
    Section::new(id, title, blocks)
}

/// A number, or a dash where it does not apply.
fn number(value: Option<f64>) -> Cell {
    value.map_or_else(|| Cell::text("\u{2013}"), |value| Cell::number(short(value), value))
}
