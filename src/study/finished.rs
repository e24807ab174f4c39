//! A finished run, opened to go on with by hand: in a notebook, or from another program.

use super::config::Study;
use super::graph::Graph;
use super::place::RunPlace;
use super::stage::Made;
use super::stages;
use crate::error::{Error, Result};
use crate::experiments::Readout;
use crate::report::Report;
use std::collections::BTreeMap;

/// What the stages of a study left. Opening it makes nothing.
pub struct FinishedRun {
    study: Study,
    place: RunPlace,
    made: Made,
}

impl FinishedRun {
    /// Opens the run of `study` in `place`.
    ///
    /// # Errors
    /// If a stage has not been made there, with these settings and by this code (or by any, if the place accepts older
    /// artifacts), or an artifact is not what was written.
    pub fn open(study: Study, place: RunPlace) -> Result<Self> {
        let store = place.store();
        let mut folders = BTreeMap::new();
        for node in Graph::new(&study, &place)?.nodes {
            let name = node.stage.name();
            let artifact = store.find(&node.recipe)?.ok_or_else(|| {
                Error::request(format!(
                    "stage `{name}` of {} is not in {}",
                    study.name,
                    store.root().display()
                ))
                .hint("run the study first; `accept_older` opens what other code made of it")
            })?;
            folders.insert(name, artifact.folder);
        }
        let made = Made { folders, device: place.device.clone() };
        Ok(Self { study, place, made })
    }

    /// Its report: tables, figures, the page.
    ///
    /// # Errors
    /// If the run published none.
    pub fn report(&self) -> Result<Report> {
        Report::open(&self.place.out)
    }

    /// The models that its dictionary was fitted over, side by side, with the dictionary.
    ///
    /// # Errors
    /// If the study fits no dictionary, or a model cannot be loaded.
    pub fn readout(&self) -> Result<Readout> {
        stages::readout(&self.study, &self.made)
    }
}
