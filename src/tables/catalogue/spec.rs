//! What a table's documentation says: its columns, their types and their meaning.

/// The type of a column. All are nullable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    Text,
    /// 64-bit signed integer.
    Integer,
    /// 64-bit float.
    Float,
    /// True or false.
    Boolean,
}

/// One documented column.
#[derive(Clone, Copy, Debug)]
pub struct ColumnSpec {
    /// The column's name, or, per variant, the prefix that its names share.
    pub name: &'static str,
    /// Its type.
    pub kind: ColumnType,
    /// What it holds, with units.
    pub about: &'static str,
    /// Whether there is one such column per variant (or pair of variants), suffixed with its name.
    pub per_variant: bool,
}

/// One documented table.
#[derive(Clone, Copy, Debug)]
pub struct TableSpec {
    /// The table's name; its file is `<name>.parquet`.
    pub name: &'static str,
    /// What one row is.
    pub about: &'static str,
    /// Its columns, in file order.
    pub columns: &'static [ColumnSpec],
}

impl TableSpec {
    /// The specification of the column called `name`, if the table has one.
    pub fn column(&self, name: &str) -> Option<&ColumnSpec> {
        self.columns.iter().find(|column| !column.per_variant && column.name == name).or_else(|| {
            let matching =
                self.columns.iter().filter(|column| column.per_variant && name.starts_with(column.name));
            matching.max_by_key(|column| column.name.len())
        })
    }
}

/// A column that every row has.
pub const fn fixed(name: &'static str, kind: ColumnType, about: &'static str) -> ColumnSpec {
    ColumnSpec { name, kind, about, per_variant: false }
}

/// A family of columns, one per variant or pair of variants, whose names start with `prefix`.
pub const fn per_variant(prefix: &'static str, kind: ColumnType, about: &'static str) -> ColumnSpec {
    ColumnSpec { name: prefix, kind, about, per_variant: true }
}
