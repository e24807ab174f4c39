//! Finished studies whose results stand beside a study's own claims: the same questions where nothing was changed, the
//! same study under other seeds, studies whose truth is known, and the same study of other bases.
//!
//! Their numbers are copied into the tables `nulls`, `repetitions`, `calibration` and `elsewhere`, from which the page is
//! drawn.

use super::facts::{FACTS_FILE, StudyFacts};
use crate::claims::calibration::CalibrationRow;
use crate::claims::{ClaimRow, RepetitionRow};
use crate::error::Result;
use crate::evaluation::SeedTrajectoryRow;
use crate::store::{Content, Outside};
use crate::tables::{self, catalogue};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Where they lie: folders of runs, of reports, or of tables, as the study file names them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Beside {
    /// A study that asks the same where nothing was changed.
    pub null: Option<PathBuf>,
    /// The same study, repeated under other seeds.
    pub repeated: Option<PathBuf>,
    /// What `check calibration --out` wrote.
    pub calibration: Option<PathBuf>,
    /// The same study of other bases, whose dips and gains are to be seen side by side.
    pub others: Vec<PathBuf>,
    /// The folder that these are relative to: that of the study file.
    #[serde(skip)]
    pub from: PathBuf,
}

/// What one of them is to the study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Asks the same where nothing was changed.
    Null,
    /// Asks the same under other seeds.
    Repeated,
    /// Asks where the truth is known.
    Calibration,
    /// Asks the same of another base.
    Other,
}

impl Role {
    /// The table that is taken from it.
    fn table(self) -> &'static str {
        match self {
            Self::Null => catalogue::CLAIMS.name,
            Self::Repeated => catalogue::REPETITIONS.name,
            Self::Calibration => catalogue::CALIBRATION.name,
            Self::Other => catalogue::SEED_TRAJECTORIES.name,
        }
    }

    /// The stage whose artifact both studies have where they belong together.
    fn shared_stage(self) -> Option<&'static str> {
        match self {
            Self::Null => Some("base"),
            Self::Repeated => Some("experiments"),
            Self::Calibration | Self::Other => None,
        }
    }
}

/// One row of the table `elsewhere`: one of `seed_trajectories` of a study of another base.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ElsewhereRow {
    /// The other study's base.
    pub(super) base: String,
    /// What it says.
    #[serde(flatten)]
    pub(super) row: SeedTrajectoryRow,
}

/// What the page says of one of them beside its table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BesideFact {
    /// What it is to the study.
    pub role: Role,
    /// Where it was looked for, as the study file says it.
    pub place: String,
    /// Why nothing is shown of it: it is not there, or its tables are of another version.
    pub problem: Option<String>,
    /// The study's name, if it has one.
    pub study: String,
    /// Whether it stands on the same artifacts: a null on the same base, a repetition on the same experiments.
    pub same: bool,
    /// How far its variants moved, a sentence each: see [`StudyFacts::same_change`].
    pub moved: Vec<String>,
}

impl Beside {
    fn places(&self) -> impl Iterator<Item = (Role, &Path)> {
        let places = [
            (Role::Null, &self.null),
            (Role::Repeated, &self.repeated),
            (Role::Calibration, &self.calibration),
        ];
        let one = places.into_iter().filter_map(|(role, place)| Some((role, place.as_deref()?)));
        one.chain(self.others.iter().map(|place| (Role::Other, place.as_path())))
    }

    /// The folder of tables that holds what is wanted of `role`.
    fn tables(&self, role: Role, place: &Path) -> Option<PathBuf> {
        let file = format!("{}.parquet", role.table());
        super::places(&self.from.join(place)).into_iter().find(|folder| folder.join(&file).is_file())
    }

    /// What is read from them.
    ///
    /// # Errors
    /// If a file is there and cannot be read.
    pub fn contents(&self) -> Result<Outside> {
        let mut contents = Outside::new();
        for (role, place) in self.places() {
            let table = format!("{}.parquet", role.table());
            let Some(folder) = self.tables(role, place) else {
                let wanted = super::places(&self.from.join(place)).map(|folder| folder.join(&table));
                contents.insert(format!("{table} of {}", place.display()), Content::of_nothing(wanted));
                continue;
            };
            // The facts of a study say on what it stands. A calibration has none.
            for file in
                [&table, FACTS_FILE].map(|file| folder.join(file)).iter().filter(|file| file.is_file())
            {
                let name = file.file_name().unwrap_or_default().display();
                contents.insert(format!("{name} of {}", place.display()), Content::of_file(file)?);
            }
        }
        Ok(contents)
    }

    /// Writes their tables into the folder `into`, and says what was found. `own` is the study beside which they stand.
    pub(super) fn gather(&self, own: &StudyFacts, into: &Path) -> Result<Vec<BesideFact>> {
        let (mut all, mut elsewhere) = (Vec::new(), Vec::new());
        for (role, place) in self.places() {
            let mut fact = BesideFact {
                role,
                place: place.display().to_string(),
                problem: None,
                study: String::new(),
                same: false,
                moved: Vec::new(),
            };
            let taken: Option<Result<StudyFacts>> = self.tables(role, place).map(|folder| {
                let facts = StudyFacts::load(&folder)?;
                take(role, &folder, &facts, into, &mut elsewhere)?;
                Ok(facts)
            });
            match taken {
                None => fact.problem = Some("nothing is there".to_owned()),
                Some(Err(error)) => fact.problem = Some(error.to_string()),
                Some(Ok(facts)) => {
                    fact.same = role.shared_stage().is_some_and(|stage| same_artifact(own, &facts, stage));
                    (fact.study, fact.moved) = (facts.name, facts.same_change);
                }
            }
            if let Some(problem) = &fact.problem {
                tracing::warn!("[beside] {}: {problem}", fact.place);
            }
            all.push(fact);
        }
        if !elsewhere.is_empty() {
            tables::write(&into.join("elsewhere.parquet"), &catalogue::ELSEWHERE, &elsewhere)?;
        }
        Ok(all)
    }
}

/// Takes the table that is wanted of a study into the folder `into`; of several studies, rows into `elsewhere`.
fn take(
    role: Role,
    folder: &Path,
    facts: &StudyFacts,
    into: &Path,
    elsewhere: &mut Vec<ElsewhereRow>,
) -> Result<()> {
    let file = folder.join(format!("{}.parquet", role.table()));
    match role {
        Role::Null => {
            let claims: Vec<ClaimRow> = tables::read(&file)?;
            let rows: Vec<_> = claims.iter().map(|claim| RepetitionRow::new(&facts.name, claim)).collect();
            tables::write(&into.join("nulls.parquet"), &catalogue::NULLS, &rows)
        }
        Role::Repeated => {
            let rows: Vec<RepetitionRow> = tables::read(&file)?;
            tables::write(&into.join("repetitions.parquet"), &catalogue::REPETITIONS, &rows)
        }
        Role::Calibration => {
            let rows: Vec<CalibrationRow> = tables::read(&file)?;
            tables::write(&into.join("calibration.parquet"), &catalogue::CALIBRATION, &rows)
        }
        Role::Other => {
            let rows: Vec<SeedTrajectoryRow> = tables::read(&file)?;
            elsewhere.extend(rows.into_iter().map(|row| ElsewhereRow { base: facts.base.clone(), row }));
            Ok(())
        }
    }
}

/// Whether a stage left the same artifact in both studies.
fn same_artifact(one: &StudyFacts, other: &StudyFacts, stage: &str) -> bool {
    let id = |facts: &StudyFacts| {
        let found = facts.stages.iter().find(|fact| fact.name == stage);
        found.map(|fact| fact.id.clone())
    };
    id(one).is_some() && id(one) == id(other)
}
