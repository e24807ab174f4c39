//! What a Parquet file declares, held against its length before polars allocates any of it.
//!
//! polars believes sizes: a file of a kilobyte that declares pages of gigabytes makes it ask for them, and where there is
//! no such memory the process ends. A process of its own with a limit would catch that, but only within our program: a
//! notebook or a test has none to start. So the footer and the header of every page are read here first, with a small
//! reader of our own, and what polars then allocates is bounded by what was checked. What else it does wrong is a panic,
//! which [`super::guarded`] turns into an error.

mod pages;
mod thrift;

use crate::error::{Error, Result};
use thrift::{Thrift, damaged};

/// The longest footer. A file of a thousand columns and a hundred groups has some 10 MB.
const FOOTER: usize = 64 << 20;
/// The most columns, and the most groups of rows.
const COLUMNS: usize = 10_000;
const GROUPS: usize = 100_000;
/// The deepest schema.
const DEPTH: u32 = 32;

/// Memory that a file may ask for: so much, and so many times its own length. Text shrinks by ten or so, and a column
/// that says the same in each row to nearly nothing.
#[derive(Debug)]
pub(crate) struct Budget {
    whole: u64,
    left: u64,
}

impl Budget {
    /// That of a file of so many bytes.
    pub(crate) fn of(length: usize) -> Self {
        let whole = (256 << 20) + 64 * length as u64;
        Self { whole, left: whole }
    }

    /// Takes so many bytes of it.
    ///
    /// # Errors
    /// If fewer are left.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<()> {
        self.left = self.left.checked_sub(bytes as u64).ok_or_else(|| {
            Error::request(format!(
                "what it holds takes more than {} MB of memory, which is more than a file of its length should",
                self.whole >> 20
            ))
        })?;
        Ok(())
    }

    /// Whether so many values of eight bytes are within all of it.
    fn holds(&self, values: usize) -> bool {
        (values as u64).checked_mul(8).is_some_and(|bytes| bytes <= self.whole)
    }
}

/// Checks what a file declares of its groups, columns and pages.
///
/// # Errors
/// If it is none, is damaged, or declares more than a file of its length holds.
pub(crate) fn check(file: &[u8]) -> Result<()> {
    let footer = footer(file)?;
    let (footer, _) = thrift::read(footer)?;
    let leaves = leaves(footer.items(2))?;
    let mut budget = Budget::of(file.len());
    let rows = count(footer.number(3), "rows")?;
    let groups = footer.items(4);
    if groups.len() > GROUPS {
        return Err(damaged(&format!("expected at most {GROUPS} groups of rows, found {}", groups.len())));
    }
    let mut in_groups = 0_usize;
    for group in groups {
        let rows = count(group.number(3), "rows of a group")?;
        in_groups = in_groups.saturating_add(rows);
        if !budget.holds(rows.saturating_mul(leaves.max(1))) {
            return Err(damaged(&format!("{rows} rows of {leaves} columns are more than it holds")));
        }
        let columns = group.items(1);
        if columns.len() != leaves {
            return Err(damaged(&format!("expected {leaves} columns in a group, found {}", columns.len())));
        }
        for column in columns {
            let facts = column.field(3).ok_or_else(|| damaged("a column says nothing of itself"))?;
            pages::check(file, facts, &mut budget)?;
        }
    }
    if in_groups != rows || !budget.holds(rows) {
        return Err(damaged(&format!("{rows} rows are declared, and {in_groups} of them in groups")));
    }
    Ok(())
}

fn footer(file: &[u8]) -> Result<&[u8]> {
    let body = file.strip_prefix(b"PAR1").and_then(|body| body.strip_suffix(b"PAR1"));
    let (body, length) = body
        .and_then(|body| body.split_last_chunk::<4>())
        .ok_or_else(|| damaged("it neither begins nor ends as one"))?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > FOOTER {
        return Err(damaged("its footer is too long"));
    }
    let start =
        body.len().checked_sub(length).ok_or_else(|| damaged("its footer is longer than the file"))?;
    Ok(body.get(start..).unwrap_or_default())
}

/// How many columns hold values. A group says how many children follow it.
fn leaves(elements: &[Thrift]) -> Result<usize> {
    if elements.len() > COLUMNS {
        return Err(damaged(&format!("expected at most {COLUMNS} columns, found {}", elements.len())));
    }
    let mut elements = elements.iter();
    let root = elements.next().ok_or_else(|| damaged("it has no schema"))?;
    // How many children are still to come, at each level.
    let mut open = vec![count(root.number(5), "columns")?];
    let mut leaves = 0;
    for element in elements {
        while open.last() == Some(&0) {
            open.pop();
        }
        let Some(children) = open.last_mut() else { return Err(damaged("its schema does not add up")) };
        *children -= 1;
        if element.number(2).is_some_and(|length| !(0..=1 << 20).contains(&length)) {
            return Err(damaged("a column of values that are too long"));
        }
        match element.number(5) {
            None | Some(0) => leaves += 1,
            children => open.push(count(children, "columns")?),
        }
        if open.len() as u32 > DEPTH {
            return Err(damaged("its columns nest too deep"));
        }
    }
    if open.iter().any(|children| *children > 0) {
        return Err(damaged("its schema ends too early"));
    }
    Ok(leaves)
}

/// A number of things that cannot be negative.
fn count(number: Option<i64>, what: &str) -> Result<usize> {
    number
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| damaged(&format!("the number of {what}: found {number:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/datasets/");
        std::fs::read(format!("{folder}{name}.parquet")).unwrap()
    }

    /// A file whose footer is `footer`, and nothing else.
    fn of_footer(footer: &[u8]) -> Vec<u8> {
        [b"PAR1", footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
    }

    #[test]
    fn files_of_others_are_let_through() {
        for name in ["messages", "verl", "categories", "pages_v2", "kinds"] {
            check(&fixture(name)).unwrap();
        }
    }

    #[test]
    fn what_is_declared_larger_than_the_file_is_refused_before_it_is_asked_for() {
        let refused = |file: &[u8], why: &str| {
            let error = check(file).unwrap_err().to_string();
            assert!(error.contains(why), "{why}: {error}");
        };
        refused(b"PAR1", "neither begins nor ends");
        refused(&of_footer(&[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f]), "a list is declared longer");
        refused(&of_footer(&[0x28, 0xff, 0xff, 0xff, 0xff, 0x0f]), "ends too early");
        // A struct within a struct, and so on.
        refused(&of_footer(&[0x1c; 4000]), "nest too deep");
        refused(&of_footer(&[0]), "no schema");
        refused(&fixture("deltas"), "DELTA_");
        let mut long = fixture("verl");
        let at = long.len() - 8;
        long[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        refused(&long, "footer");
    }

    #[test]
    fn a_page_of_gigabytes_in_a_small_file_is_refused() {
        // Whatever byte of a page's header is changed, what it then declares is within the budget.
        let sound = fixture("pages_v2");
        let budget = (256 << 20) + 64 * sound.len();
        let mut refused = 0;
        for at in 4..200 {
            let mut file = sound.clone();
            file.splice(at..at + 5, [0xff, 0xff, 0xff, 0xff, 0x0f]);
            refused += usize::from(check(&file).is_err());
        }
        assert!(refused > 20, "{refused} of 196, budget {budget}");
    }
}
