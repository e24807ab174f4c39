//! Which features of one dictionary write nearly the same.

use super::dictionary::Dictionary;
use super::matmul::PackedRows;
use super::stability::directions;

/// Features compared at once.
const BLOCK: usize = 256;

/// For each feature, the `count` others whose decoders (all outputs joined) have the largest cosine with its own,
/// nearest first. Features that write nothing have no neighbours and are none.
pub fn neighbours(dictionary: &Dictionary, count: usize) -> Vec<Vec<(u32, f32)>> {
    let (width, features) = (dictionary.spec().output_width(), dictionary.features());
    let directions = directions(dictionary, width);
    let packed = PackedRows::pack(&directions, width);
    let (mut found, mut cosines) = (Vec::with_capacity(features), Vec::new());
    for block in directions.chunks(BLOCK * width) {
        packed.pre_activations(block, &mut cosines);
        for row in cosines.chunks_exact(features) {
            let this = found.len();
            let others = row.iter().enumerate().filter(|(other, cosine)| *other != this && **cosine != 0.0);
            let mut others: Vec<(u32, f32)> = others.map(|(other, cosine)| (other as u32, *cosine)).collect();
            let nearer = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
            if others.len() > count {
                others.select_nth_unstable_by(count, nearer);
                others.truncate(count);
            }
            others.sort_unstable_by(nearer);
            found.push(others);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::spec::{Activation, Kind, Site, Spec};
    use super::super::weights::Weights;
    use super::*;

    #[test]
    fn neighbours_are_ranked_by_the_cosine_of_all_decoders_joined() {
        // Two variants of width 1: rows are points of a plane, whatever their length. The last writes nothing.
        let decoder = vec![1.0, 0.0, 3.0, 3.0, 0.0, 0.5, -1.0, 0.0, 0.0, 0.0];
        let sites: Vec<Site> = ["base", "rl"].map(Site::of).into();
        let spec = Spec::reconstructing(Kind::Crosscoder, Activation::Relu, sites, 1, 5);
        let weights = Weights {
            encoder: decoder.clone(),
            encoder_bias: vec![0.0; 5],
            decoder,
            decoder_bias: vec![0.0; 2],
            ..Weights::default()
        };
        let found = neighbours(&Dictionary::new(spec, weights).unwrap(), 2);
        let names: Vec<Vec<u32>> =
            found.iter().map(|row| row.iter().map(|(feature, _)| *feature).collect()).collect();
        assert_eq!(names, [vec![1, 3], vec![0, 2], vec![1], vec![1, 0], vec![]]);
        assert!((found[0][0].1 - 0.5f32.sqrt()).abs() < 1e-6 && found[0][1].1 == -1.0);
    }
}
