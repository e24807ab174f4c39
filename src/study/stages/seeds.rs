//! Stage `seeds`: the variants that were trained with several seeds, over these.

use super::evaluation;
use crate::error::Result;
use crate::evaluation::{Runs, compare, over_seeds, trajectories, trajectories_over_seeds};
use crate::study::config::{BASE, Study};
use crate::study::stage::{Estimate, Scene, Stage};
use crate::tables::{self, catalogue};
use serde_json::{Value, json};

pub(super) const NAME: &str = "seeds";

pub(super) struct Seeds {
    seed: u64,
    alpha: f64,
    /// Every variant with the names of its runs.
    variants: Vec<(String, Vec<String>)>,
}

impl Seeds {
    /// `None` if every variant was trained once.
    pub(super) fn new(study: &Study) -> Option<Self> {
        let runs = |group: &str| -> Vec<String> {
            let own = study.variants.iter().filter(|variant| variant.group == group);
            own.map(|variant| variant.name.clone()).collect()
        };
        let firsts = study.variants.iter().filter(|variant| !variant.is_replicate());
        let variants: Vec<_> = firsts
            .map(|variant| (variant.name.clone(), runs(&variant.group)))
            .filter(|(_, runs)| runs.len() > 1)
            .collect();
        (!variants.is_empty()).then_some(Self { seed: study.seed, alpha: study.claims.alpha, variants })
    }
}

impl Stage for Seeds {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn code(&self) -> &'static str {
        module_path!()
    }

    fn config(&self) -> Result<Value> {
        Ok(json!({ "seed": self.seed, "alpha": self.alpha, "variants": self.variants }))
    }

    fn inputs(&self) -> Vec<String> {
        let runs = self.variants.iter().flat_map(|(_, runs)| runs).map(String::as_str);
        [BASE].into_iter().chain(runs).map(evaluation::name).collect()
    }

    fn estimate(&self) -> Estimate {
        let runs: usize = self.variants.iter().map(|(_, runs)| runs.len()).sum();
        Estimate { seconds: 3.0 * runs as f64, memory_bytes: 0.2e9, disk_bytes: 1e5 }
    }

    fn make(&self, scene: &Scene) -> Result<()> {
        let evaluations =
            |run: &String| tables::read(&scene.input(&evaluation::name(run))?.join("evaluations.parquet"));
        let all = self
            .variants
            .iter()
            .map(|(variant, runs)| {
                let rows = runs.iter().map(evaluations).collect::<Result<_>>()?;
                Ok(Runs { variant: variant.clone(), rows })
            })
            .collect::<Result<Vec<Runs>>>()?;
        tables::write(&scene.folder.join("seeds.parquet"), &catalogue::SEEDS, &over_seeds(&all))?;
        let comparisons = compare(&all, self.alpha);
        tables::write(&scene.folder.join("comparisons.parquet"), &catalogue::COMPARISONS, &comparisons)?;
        let outcomes = |run: &str| evaluation::outcomes(scene.input(&evaluation::name(run))?);
        let base = outcomes(BASE)?;
        let mut moves = Vec::new();
        for (variant, runs) in &self.variants {
            let of_run = |run: &String| trajectories(&base, &outcomes(run)?, self.seed);
            let runs = runs.iter().map(of_run).collect::<Result<Vec<_>>>()?;
            moves.extend(trajectories_over_seeds(variant, &runs));
        }
        tables::write(&scene.folder.join("seed_trajectories.parquet"), &catalogue::SEED_TRAJECTORIES, &moves)
    }
}
