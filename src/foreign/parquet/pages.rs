//! The pages of one column in one group of rows.

use super::thrift::{self, Thrift, damaged};
use super::{Budget, count};
use crate::error::Result;

const UNCOMPRESSED: i64 = 0;
/// Encodings whose values are sums of differences: their own headers declare sizes within the compressed page.
const DELTAS: std::ops::RangeInclusive<i64> = 5..=7;

/// Checks the header of every page that `column` says it has.
///
/// # Errors
/// If one declares more than there is, or more than the budget.
pub(super) fn check(file: &[u8], column: &Thrift, budget: &mut Budget) -> Result<()> {
    let codec = column.number(4).unwrap_or(UNCOMPRESSED);
    let values = count(column.number(5), "values")?;
    let length = count(column.number(7), "bytes of a column")?;
    let first = count(column.number(9), "the first page")?;
    let dictionary =
        column.number(11).filter(|offset| *offset > 0).map(|offset| count(Some(offset), "offset"));
    let start = dictionary.transpose()?.unwrap_or(first);
    if !budget.holds(values) {
        return Err(damaged(&format!("{values} values of a column are more than it holds")));
    }
    let end = start.checked_add(length).filter(|end| *end <= file.len());
    let mut rest = end
        .and_then(|end| file.get(start..end))
        .ok_or_else(|| damaged("a column lies beyond the end of the file"))?;
    let mut seen = 0_usize;
    while seen < values {
        let (header, length) = thrift::read(rest)?;
        let compressed = count(header.number(3), "bytes of a page")?;
        let uncompressed = count(header.number(2), "bytes of a page")?;
        if codec == UNCOMPRESSED && compressed != uncompressed {
            return Err(damaged("a page that is not compressed has two sizes"));
        }
        budget.take(uncompressed)?;
        rest = length
            .checked_add(compressed)
            .and_then(|used| rest.get(used..))
            .ok_or_else(|| damaged("a page is longer than its column"))?;
        seen = seen.saturating_add(held(&header, uncompressed)?);
    }
    if seen > values {
        return Err(damaged(&format!("expected {values} values in the pages of a column, found {seen}")));
    }
    Ok(())
}

/// How many values a page of data declares; a dictionary has none of the column's own.
fn held(header: &Thrift, uncompressed: usize) -> Result<usize> {
    if let Some(dictionary) = header.field(7) {
        let values = count(dictionary.number(1), "values of a dictionary")?;
        // Every value takes a byte at least, and a truth value is in no dictionary.
        return if values <= uncompressed {
            Ok(0)
        } else {
            Err(damaged("a dictionary is longer than its page"))
        };
    }
    let (data, encoding) = match (header.field(5), header.field(8)) {
        (Some(data), None) => (data, data.number(2)),
        (None, Some(data)) => {
            let levels = count(data.number(5), "bytes of levels")?
                .saturating_add(count(data.number(6), "bytes of levels")?);
            let nulls = count(data.number(2), "nulls")?;
            let rows = count(data.number(3), "rows of a page")?;
            let values = count(data.number(1), "values of a page")?;
            if levels > uncompressed || nulls > values || rows > values {
                return Err(damaged("a page holds less than it declares"));
            }
            (data, data.number(4))
        }
        // An index holds no values, and none is read.
        _ if header.number(1) == Some(1) => return Ok(0),
        _ => return Err(damaged("a page of no known kind")),
    };
    if encoding.is_some_and(|encoding| DELTAS.contains(&encoding)) {
        return Err(damaged(
            "its values are written as differences (the encodings DELTA_…), which are not read",
        )
        .hint("write it with pyarrow's or pandas' default encodings"));
    }
    count(data.number(1), "values of a page")
}
