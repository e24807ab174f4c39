//! The heads of a token one by one: what `attn.hook_result` and `hook_attn_in` show.

use super::tape::{Tape, Value};

/// From `x` [tokens, heads · head_dim] to [tokens · heads, heads · head_dim]: row h of a token holds head h alone,
/// with zeros for the others.
pub(crate) fn apart(tape: &Tape, x: &Value, heads: usize) -> Value {
    let width = x.width();
    let rows = tape.value(rows_apart(x.data(), heads, width), width);
    if let (Some(to), Some(from)) = (x.slot(), rows.slot()) {
        tape.push(move |slots| {
            let Some(gradient) = slots.take(from) else { return Ok(()) };
            slots.add(to, own_of_rows(&gradient, heads, width));
            Ok(())
        });
    }
    rows
}

/// From [tokens, heads · width] to the sum over heads, [tokens, width].
pub(crate) fn sum(tape: &Tape, results: &Value, heads: usize) -> Value {
    let width = results.width() / heads;
    let sums = tape.value(sums_of(results.data(), heads, width), width);
    if let (Some(to), Some(from)) = (results.slot(), sums.slot()) {
        tape.push(move |slots| {
            let Some(gradient) = slots.take(from) else { return Ok(()) };
            slots.add(to, copies_of(&gradient, heads, width));
            Ok(())
        });
    }
    sums
}

/// From `x` [tokens, width] to [tokens, heads · width]: once for every head.
pub(crate) fn repeated(tape: &Tape, x: &Value, heads: usize) -> Value {
    let width = x.width();
    let copies = tape.value(copies_of(x.data(), heads, width), heads * width);
    if let (Some(to), Some(from)) = (x.slot(), copies.slot()) {
        tape.push(move |slots| {
            let Some(gradient) = slots.take(from) else { return Ok(()) };
            slots.add(to, sums_of(&gradient, heads, width));
            Ok(())
        });
    }
    copies
}

/// From [tokens · heads, heads · head_dim] to [tokens, heads · head_dim]: of row h of a token, head h alone. What
/// [`apart`] takes apart, this puts together.
pub(crate) fn own(tape: &Tape, rows: &Value, heads: usize) -> Value {
    let width = rows.width();
    let x = tape.value(own_of_rows(rows.data(), heads, width), width);
    if let (Some(to), Some(from)) = (rows.slot(), x.slot()) {
        tape.push(move |slots| {
            let Some(gradient) = slots.take(from) else { return Ok(()) };
            slots.add(to, rows_apart(&gradient, heads, width));
            Ok(())
        });
    }
    x
}

fn rows_apart(x: &[f32], heads: usize, width: usize) -> Vec<f32> {
    let head_dim = width / heads;
    let mut rows = vec![0f32; x.len() * heads];
    for (token, rows) in x.chunks_exact(width).zip(rows.chunks_exact_mut(width * heads)) {
        for (head, row) in rows.chunks_exact_mut(width).enumerate() {
            let own = head * head_dim..(head + 1) * head_dim;
            row[own.clone()].copy_from_slice(&token[own]);
        }
    }
    rows
}

fn own_of_rows(rows: &[f32], heads: usize, width: usize) -> Vec<f32> {
    let head_dim = width / heads;
    let own = |(index, row): (usize, &[f32])| {
        let head = index % heads;
        row[head * head_dim..(head + 1) * head_dim].to_vec()
    };
    rows.chunks_exact(width).enumerate().flat_map(own).collect()
}

fn sums_of(parts: &[f32], heads: usize, width: usize) -> Vec<f32> {
    let mut sums = vec![0f32; parts.len() / heads];
    for (sum, token) in sums.chunks_exact_mut(width).zip(parts.chunks_exact(width * heads)) {
        for head in token.chunks_exact(width) {
            sum.iter_mut().zip(head).for_each(|(sum, part)| *sum += part);
        }
    }
    sums
}

fn copies_of(x: &[f32], heads: usize, width: usize) -> Vec<f32> {
    x.chunks_exact(width).flat_map(|token| token.repeat(heads)).collect()
}
