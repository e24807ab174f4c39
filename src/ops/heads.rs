//! The heads of a token one by one: what `attn.hook_result` shows.

use super::tape::{Tape, Value};

/// From `x` [tokens, heads · head_dim] to [tokens · heads, heads · head_dim]: row h of a token holds head h alone,
/// with zeros for the others.
pub(crate) fn apart(tape: &Tape, x: &Value, heads: usize) -> Value {
    let width = x.width();
    let head_dim = width / heads;
    let mut rows = vec![0f32; x.data().len() * heads];
    for (token, rows) in x.data().chunks_exact(width).zip(rows.chunks_exact_mut(width * heads)) {
        for (head, row) in rows.chunks_exact_mut(width).enumerate() {
            let own = head * head_dim..(head + 1) * head_dim;
            row[own.clone()].copy_from_slice(&token[own]);
        }
    }
    let rows = tape.value(rows, width);
    if let (Some(to), Some(from)) = (x.slot(), rows.slot()) {
        tape.push(move |slots| {
            let Some(gradient) = slots.take(from) else { return Ok(()) };
            let row = |(index, row): (usize, &[f32])| {
                let head = index % heads;
                row[head * head_dim..(head + 1) * head_dim].to_vec()
            };
            slots.add(to, gradient.chunks_exact(width).enumerate().flat_map(row).collect());
            Ok(())
        });
    }
    rows
}

/// From [tokens, heads · width] to the sum over heads, [tokens, width].
pub(crate) fn sum(tape: &Tape, results: &Value, heads: usize) -> Value {
    let width = results.width() / heads;
    let mut sums = vec![0f32; results.data().len() / heads];
    for (sum, token) in sums.chunks_exact_mut(width).zip(results.data().chunks_exact(width * heads)) {
        for head in token.chunks_exact(width) {
            sum.iter_mut().zip(head).for_each(|(sum, part)| *sum += part);
        }
    }
    let sums = tape.value(sums, width);
    if let (Some(to), Some(from)) = (results.slot(), sums.slot()) {
        tape.push(move |slots| {
            let Some(gradient) = slots.take(from) else { return Ok(()) };
            let all = gradient.chunks_exact(width).flat_map(|token| token.repeat(heads));
            slots.add(to, all.collect());
            Ok(())
        });
    }
    sums
}
