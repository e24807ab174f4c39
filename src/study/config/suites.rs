//! `[suites]`: the tasks, by what they stand for.

use crate::error::{Error, Result};
use crate::experiments::Axis;
use crate::tasks::Suite;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The suites of a study, by what they stand for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SuiteGroups {
    /// Held-out problems of what was trained on.
    pub in_domain: Vec<Suite>,
    /// Reasoning that was not trained on.
    pub transfer: Vec<Suite>,
    /// Requests that should be refused.
    pub safety: Vec<Suite>,
    /// Everything else that should not be damaged.
    pub collateral: Vec<Suite>,
}

impl SuiteGroups {
    /// Every suite with what it stands for, in the order of the file.
    pub fn by_axis(&self) -> impl Iterator<Item = (Axis, &Suite)> {
        [
            (Axis::InDomain, &self.in_domain),
            (Axis::Transfer, &self.transfer),
            (Axis::Safety, &self.safety),
            (Axis::Collateral, &self.collateral),
        ]
        .into_iter()
        .flat_map(|(axis, suites)| suites.iter().map(move |suite| (axis, suite)))
    }

    /// Every suite, in the order of the file.
    pub fn all(&self) -> Vec<Suite> {
        self.by_axis().map(|(_, suite)| suite.clone()).collect()
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.in_domain.is_empty() {
            return Err(Error::request("field `in_domain`: expected at least one suite, found none")
                .hint("for example in_domain = [\"general_points\"]"));
        }
        let mut seen = BTreeSet::new();
        match self.by_axis().find(|(_, suite)| !seen.insert(suite.name().to_owned())) {
            Some((axis, suite)) => Err(Error::request(format!(
                "field `{}`: suite `{}` is listed twice",
                axis.name(),
                suite.name()
            ))),
            None => Ok(()),
        }
    }
}
