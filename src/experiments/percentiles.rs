//! The unit of `clamp` and `steer`: each feature's 95th percentile when active, in the variant that it comes from.
//!
//! A feature that post-training added may hardly fire on what base writes: a dose in units of its codes there would
//! steer base by next to nothing.

use super::inputs::Selection;
use super::texts::{reference, stock};
use crate::diff::Reading;
use crate::error::Result;
use crate::interventions::{Decoders, Edit};
use crate::tasks::Suite;
use std::sync::Arc;

/// Whether any of these edits has its dose in this unit.
pub(super) fn are_units<'a>(edits: impl IntoIterator<Item = &'a Edit>) -> bool {
    edits.into_iter().any(|edit| matches!(edit, Edit::Clamp | Edit::Steer))
}

/// One number a feature, on what each variant itself says on the selection half of `suite`.
///
/// # Errors
/// If a forward pass fails, or there is no dictionary.
pub(super) fn percentiles(
    selection: &mut Selection<'_>,
    reading: &Reading,
    suite: &Suite,
) -> Result<Vec<f32>> {
    let readout = selection.readout;
    let mut of_variants = Vec::new();
    for variant in 0..readout.variants().len() {
        let mut texts = selection.texts(variant, suite)?;
        if !matches!(reading, Reading::Joint) {
            texts = Arc::new(texts.reread(readout, reading)?);
        }
        let traits = vec![Default::default(); readout.features()];
        of_variants.push(reference(&stock(&[(suite.name(), &texts)], traits)).percentiles);
    }
    let dictionary = readout.dictionary()?;
    let of = |feature: u32| {
        let own = of_variants.get(source(dictionary, feature)).and_then(|all| all.get(feature as usize));
        own.copied().unwrap_or(0.0)
    };
    Ok((0..readout.features() as u32).map(of).collect())
}

/// The variant in which a feature writes most; of equals the first.
fn source(dictionary: &dyn Decoders, feature: u32) -> usize {
    let square = |variant: usize| {
        dictionary.decoder(feature, variant).iter().map(|x| f64::from(*x).powi(2)).sum::<f64>()
    };
    let variants = 0..dictionary.variants().len();
    variants.max_by(|a, b| square(*a).total_cmp(&square(*b)).then(b.cmp(a))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::settings::ExperimentSettings;
    use crate::experiments::{Readout, small};
    use crate::progress::Observer;

    #[test]
    fn a_dose_is_in_units_of_the_variant_that_a_feature_comes_from() {
        let inputs = small::inputs(1);
        let readout = Readout::new(&inputs.models, inputs.dictionary.clone(), inputs.hook).unwrap();
        let settings =
            ExperimentSettings { problems: 8, samples: 2, max_new_tokens: 6, ..Default::default() };
        let observer = Observer::silent();
        let mut selection = Selection::new(&inputs, &readout, &settings, 5, &observer);
        let suite = inputs.suites[0].1.clone();
        let found = percentiles(&mut selection, &Reading::Joint, &suite).unwrap();
        let dictionary = readout.dictionary().unwrap();
        let mut sources = Vec::new();
        for feature in 0..readout.features() as u32 {
            let variant = source(dictionary, feature);
            let texts = selection.texts(variant, &suite).unwrap();
            let mut codes: Vec<f32> = (0..texts.codes.tokens())
                .flat_map(|token| texts.codes.token(token).collect::<Vec<_>>())
                .filter(|(other, value)| *other == feature as usize && *value > 0.0)
                .map(|(_, value)| value)
                .collect();
            codes.sort_by(f32::total_cmp);
            let largest = codes.last().copied().unwrap_or(0.0);
            assert!(found[feature as usize] <= largest, "feature {feature}");
            assert_eq!(found[feature as usize] > 0.0, largest > 0.0, "feature {feature}");
            sources.push(variant);
        }
        sources.dedup();
        assert!(sources.len() > 1, "the features of the small dictionary come from several variants");
        assert!(are_units([&Edit::Zero, &Edit::Steer]) && !are_units([&Edit::Zero]));
    }
}
