//! Token and position embeddings: rows looked up in a table, gradients added back into them.

use super::parameter::{Parameter, with_slice};
use super::tape::{Tape, Value};
use crate::error::Result;

/// The rows `ids` of `table` [entries, width].
///
/// # Errors
/// If the table cannot be read. Ids must be within the table: callers check what users bring.
pub(crate) fn lookup(tape: &Tape, table: &Parameter, ids: Vec<usize>) -> Result<Value> {
    let width = table.dims().last().copied().unwrap_or(0);
    let data = with_slice(&table.value(), |table| {
        let mut data = Vec::with_capacity(ids.len() * width);
        ids.iter().for_each(|id| data.extend_from_slice(&table[id * width..(id + 1) * width]));
        data
    })?;
    let out = tape.value(data, width);
    if let Some(from) = out.slot() {
        let table = table.clone();
        tape.push(move |slots| {
            let Some(gradient) = slots.take(from).filter(|_| table.trainable()) else { return Ok(()) };
            table.accumulate_part(|buffer| {
                for (id, gradient) in ids.iter().zip(gradient.chunks_exact(width)) {
                    let row = &mut buffer[id * width..(id + 1) * width];
                    row.iter_mut().zip(gradient).for_each(|(total, gradient)| *total += gradient);
                }
            });
            Ok(())
        });
    }
    Ok(out)
}
