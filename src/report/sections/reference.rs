//! The columns of every table, from the catalogue that the files are written by.

use crate::report::view::{Block, Cell, Section, Sheet};
use crate::tables::{ColumnType, catalogue};

/// The section.
pub(in crate::report) fn section() -> Section {
    let words = "The numbers behind every plot lie beside this page in tables/, as Parquet. Names that end in an underscore stand for one column per variant, or pair of variants.";
    let mut blocks = vec![Block::Paragraph(words.to_owned())];
    for table in catalogue::ALL {
        let mut sheet = Sheet::new(
            &format!("columns-{}", table.name),
            format!("{}. {}", table.name, table.about),
            &[
                ("Column", "Its name in the file"),
                ("Type", "Nulls stand for not applicable"),
                ("Meaning", "With units"),
            ],
        );
        sheet.rows = table
            .columns
            .iter()
            .map(|column| {
                vec![Cell::text(column.name), Cell::text(type_name(column.kind)), Cell::text(column.about)]
            })
            .collect();
        blocks.push(Block::Folded(sheet));
    }
    Section::new("columns", "Columns of the tables", blocks)
}

fn type_name(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "text",
        ColumnType::Integer => "integer",
        ColumnType::Float => "float",
        ColumnType::Boolean => "boolean",
    }
}
