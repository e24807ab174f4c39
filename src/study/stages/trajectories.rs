//! Stage `trajectories`: how every variant moves along its checkpoints, and how it goes about its answers. Of
//! several training seeds the first; stage `seeds` has the statistics over all of them.

use super::evaluation;
use crate::error::Result;
use crate::evaluation::{OutcomeRow, patterns, trajectories};
use crate::study::config::{BASE, Study};
use crate::study::stage::{Estimate, Scene, Stage};
use crate::tables::{self, catalogue};
use serde_json::{Value, json};

pub(super) const NAME: &str = "trajectories";

pub(super) struct Trajectories {
    seed: u64,
    variants: Vec<String>,
}

impl Trajectories {
    pub(super) fn new(study: &Study) -> Self {
        let variants = study.variants.iter().filter(|variant| !variant.is_replicate());
        let variants = variants.map(|variant| variant.name.clone()).collect();
        Self { seed: study.seed, variants }
    }
}

fn outcomes(scene: &Scene, variant: &str) -> Result<Vec<OutcomeRow>> {
    evaluation::outcomes(scene.input(&evaluation::name(variant))?)
}

impl Stage for Trajectories {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn code(&self) -> &'static str {
        module_path!()
    }

    fn config(&self) -> Result<Value> {
        Ok(json!({ "seed": self.seed, "variants": self.variants }))
    }

    fn inputs(&self) -> Vec<String> {
        [BASE].into_iter().chain(self.variants.iter().map(String::as_str)).map(evaluation::name).collect()
    }

    fn estimate(&self) -> Estimate {
        Estimate { seconds: 3.0 * self.variants.len() as f64, memory_bytes: 0.5e9, disk_bytes: 1e5 }
    }

    fn make(&self, scene: &Scene) -> Result<()> {
        let base = outcomes(scene, BASE)?;
        let mut moves = Vec::new();
        let mut found = patterns(&base, self.seed);
        for variant in &self.variants {
            let own = outcomes(scene, variant)?;
            moves.extend(trajectories(&base, &own, self.seed)?);
            found.extend(patterns(&own, self.seed));
        }
        tables::write(&scene.folder.join("trajectories.parquet"), &catalogue::TRAJECTORIES, &moves)?;
        tables::write(&scene.folder.join("patterns.parquet"), &catalogue::PATTERNS, &found)
    }
}
