//! Training under interventions.

use super::*;
use crate::interventions::{self, Direction, Head, Intervention, Positions};

fn trained(under: &[Intervention], folder: &Path) -> crate::error::Result<Vec<TrainingRow>> {
    let model = fresh(1);
    let settings = SftSettings { kl_every: 0, ..sft_settings(2) };
    let under = if under.is_empty() { None } else { Some(interventions::under(under)?) };
    train_sft_under(&model, &requests, under, &settings, &run(folder, Observer::silent()))?;
    tables::read(&folder.join("training.parquet"))
}

#[test]
fn a_model_learns_under_an_intervention_and_another_one_is_another_run() {
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let plain = trained(&[], folders[0].path()).unwrap();
    let direction = Direction::new((0..32).map(|index| (index as f32).sin()).collect()).unwrap();
    let under = [direction.add("blocks.0.hook_resid_post", 2.0).unwrap(), Head::new(1, 0).ablate().unwrap()];
    let found = trained(&under, folders[1].path()).unwrap();
    assert_eq!(found.len(), 2);
    assert!(found[0].loss != plain[0].loss && found[0].gradient_norm.unwrap() > 0.0);
    let error = trained(&under[..1], folders[1].path()).unwrap_err().to_string();
    assert!(error.contains("another"), "{error}");
    // No document is so long.
    let never = direction.add("blocks.0.hook_resid_post", 2.0).unwrap().at([100]).on(Positions::Response);
    let error = trained(&[never], folders[2].path()).unwrap_err().to_string();
    assert!(error.contains("never acted"), "{error}");
}
