//! The dense part of a step: encode a batch and keep what may matter.

use super::super::kinds::{Candidate, Chosen, Recipe, View};
use super::super::matmul::PackedRows;
use crate::ops::simd::vectorised;
use rayon::prelude::*;

/// Tokens encoded at once: few enough that their products stay in cache.
const BLOCK: usize = 512;
const LANES: usize = 16;

/// Dead features of one token, with their pre-activations: those that take part in the auxiliary task.
pub(super) type Dead = Vec<(u32, f32)>;

/// Which features are dead, and how many of them may help one token.
pub(super) struct Burial<'a> {
    pub(super) dead: &'a [u32],
    pub(super) keep: usize,
}

/// Encodes `x [tokens, width]` and lets the recipe choose.
pub(super) fn choose(
    recipe: &dyn Recipe,
    view: &View<'_>,
    encoder: &[f32],
    x: &[f32],
    width: usize,
    burial: &Burial<'_>,
    products: &mut Vec<f32>,
) -> (Chosen, Vec<Dead>) {
    let encoder = PackedRows::pack(encoder, width);
    // Until a cut is known, nothing can be skipped.
    for patient in [view.last_cut <= 0.0, true] {
        let bounds = recipe.bounds(view, patient);
        let (mut rows, mut dead) = (Vec::new(), Vec::new());
        for block in x.chunks(BLOCK * width) {
            encoder.pre_activations(block, products);
            let scanned: Vec<(Vec<Candidate>, Dead)> = products
                .par_chunks_exact(bounds.len())
                .map(|products| {
                    let pre = |feature: &u32| products[*feature as usize] + view.bias[*feature as usize];
                    let dead = burial.dead.iter().map(|feature| (*feature, pre(feature)));
                    (above(products, &bounds), bury(dead, burial.keep))
                })
                .collect();
            for (row, buried) in scanned {
                rows.push(row);
                dead.push(buried);
            }
        }
        if let Some(chosen) = recipe.choose(view, rows, patient) {
            return (chosen, dead);
        }
    }
    unreachable!("a recipe chooses from patient bounds")
}

/// The products above their bounds.
fn above(products: &[f32], bounds: &[f32]) -> Vec<Candidate> {
    let mut kept = Vec::new();
    let (blocks, rest) = products.as_chunks::<LANES>();
    let (bound_blocks, bound_rest) = bounds.as_chunks::<LANES>();
    let mut keep = |start: usize, products: &[f32], bounds: &[f32]| {
        for (lane, (product, bound)) in products.iter().zip(bounds).enumerate() {
            if product > bound {
                kept.push(Candidate { feature: (start + lane) as u32, product: *product });
            }
        }
    };
    vectorised(
        #[inline(always)]
        || {
            for (index, (block, bounds)) in blocks.iter().zip(bound_blocks).enumerate() {
                let mut any = 0u32;
                for lane in 0..LANES {
                    any |= u32::from(block[lane] > bounds[lane]);
                }
                if any != 0 {
                    keep(index * LANES, block, bounds);
                }
            }
        },
    );
    keep(blocks.len() * LANES, rest, bound_rest);
    kept
}

/// Of dead features with their pre-activations, the `keep` that would fire most strongly.
pub(super) fn bury(pre: impl Iterator<Item = (u32, f32)>, keep: usize) -> Dead {
    let mut dead: Dead = pre.filter(|(_, pre)| *pre > 0.0).collect();
    if dead.len() > keep {
        dead.select_nth_unstable_by(keep, |a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        dead.truncate(keep);
        dead.sort_unstable_by_key(|(feature, _)| *feature);
    }
    dead
}
