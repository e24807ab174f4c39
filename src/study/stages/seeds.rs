//! Stage `seeds`: the variants that were trained with several seeds, over these.

use super::evaluation;
use crate::error::Result;
use crate::evaluation::{Runs, compare, over_seeds};
use crate::study::config::Study;
use crate::study::stage::{Estimate, Scene, Stage};
use crate::tables::{self, catalogue};
use serde_json::{Value, json};

pub(super) const NAME: &str = "seeds";

pub(super) struct Seeds {
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
        (!variants.is_empty()).then_some(Self { alpha: study.claims.alpha, variants })
    }
}

impl Stage for Seeds {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn revision(&self) -> u32 {
        1
    }

    fn config(&self) -> Result<Value> {
        Ok(json!({ "alpha": self.alpha, "variants": self.variants }))
    }

    fn inputs(&self) -> Vec<String> {
        self.variants.iter().flat_map(|(_, runs)| runs).map(|run| evaluation::name(run)).collect()
    }

    fn estimate(&self) -> Estimate {
        Estimate { seconds: 0.5, memory_bytes: 0.2e9, disk_bytes: 1e5 }
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
        tables::write(&scene.folder.join("comparisons.parquet"), &catalogue::COMPARISONS, &comparisons)
    }
}
