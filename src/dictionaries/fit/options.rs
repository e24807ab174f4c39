//! What the settings of a fit promise, seen in the dictionaries that come out.

use super::super::vectors::norm;
use super::tests::{explained, settings, store};
use super::*;

const D: usize = 24;

fn fitted(store: &ActivationStore, settings: &FitSettings) -> Dictionary {
    fit(store, settings, 1, None, &Observer::silent()).unwrap()
}

#[test]
fn designated_features_keep_to_their_variants() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), D, 8000);
    // Without a scale of its own for each variant, equal decoders stay equal in raw units.
    let settings = FitSettings {
        shared_features: 8,
        exclusive_features: 6,
        normalise: Normalise::Centre,
        steps: 120,
        ..settings(Kind::BatchTopkCrosscoder)
    };
    let dictionary = fitted(&store, &settings);
    let decoders = |feature| (dictionary.decoder(feature, 0), dictionary.decoder(feature, 1));
    for feature in 0..8 {
        let (base, other) = decoders(feature);
        assert_eq!(base, other, "feature {feature} is shared");
    }
    let mut writing = 0;
    for feature in 8..20 {
        let (base, other) = decoders(feature);
        let (own, opposing) = if feature < 14 { (base, other) } else { (other, base) };
        assert!(opposing.iter().all(|value| *value == 0.0), "feature {feature} writes one variant");
        writing += usize::from(norm(own) > 0.0);
    }
    // A merged feature writes nothing.
    assert!(writing >= 8, "{writing} of 12 write their variant");
    let differ = |feature: &usize| decoders(*feature).0 != decoders(*feature).1;
    assert!((20..64).filter(differ).count() > 20, "the others are free");
    assert!(explained(&dictionary, &store) > 0.5);
}

#[test]
fn a_heavier_variant_is_explained_better() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), D, 8000);
    let held_out = store.held_out();
    let explained = |weights: [f64; 2]| {
        let settings = FitSettings {
            weights: weights.to_vec(),
            features: 16,
            steps: 150,
            ..settings(Kind::BatchTopkCrosscoder)
        };
        let rows = super::super::metrics(&fitted(&store, &settings), &store, held_out.clone()).unwrap();
        [rows[0].fve, rows[1].fve]
    };
    let (base, other) = (explained([4.0, 0.25]), explained([0.25, 4.0]));
    assert!(base[0] > other[0] + 0.02 && other[1] > base[1] + 0.02, "{base:?} {other:?}");
}

#[test]
fn every_normalisation_is_folded_into_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), D, 8000);
    for normalise in [Normalise::Rms, Normalise::Standard, Normalise::Centre] {
        let settings = FitSettings {
            normalise,
            // Raw activations have a deviation of about 2: the step size is in normalised units.
            learning_rate: Some(if normalise == Normalise::Centre { 0.02 } else { 0.0087 }),
            ..settings(Kind::BatchTopkCrosscoder)
        };
        let explained = explained(&fitted(&store, &settings), &store);
        assert!(explained > 0.65, "{normalise:?}: FVE {explained}");
    }
}

#[test]
fn the_tanh_penalty_learns_thresholds() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), D, 8000);
    let settings = FitSettings { sparsity: Sparsity::Tanh, ..settings(Kind::Jumprelu) };
    let dictionary = fitted(&store, &settings);
    let codes =
        dictionary.codes(&dictionary.inputs_of(&store, &store.read(0..2000).unwrap()).unwrap()).unwrap();
    let active = codes.values.len() as f64 / 2000.0;
    assert!(explained(&dictionary, &store) > 0.65 && active < 24.0, "L0 {active}");
}
