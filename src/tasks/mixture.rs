//! Mixtures of data arms and files: what a variant was trained on, as a value.

use super::conversation::Asked;
use super::data_arm::DataArm;
use super::dataset::Dataset;
use super::lesson::Lesson;
use super::plain::{Item, Voice};
use super::problem::Document;
use super::rendering::{Rendering, Stated};
use crate::error::{At, Error, Result};
use crate::model::Tokenizer;
use crate::rng::Stream;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Data arms and files with the share of documents each has. In a study a name, `"verified_cot"` or
/// `"mine.jsonl"`, or shares, `{ "mine.parquet" = 0.9, refusals = 0.1 }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Mixture {
    sources: Vec<Source>,
    shares: Vec<f64>,
}

/// Where documents come from.
#[derive(Clone, Debug, PartialEq)]
enum Source {
    Arm(DataArm, Stated),
    /// A file of training data, see [`Dataset`].
    File(String),
}

impl Source {
    fn parse(name: &str) -> Result<Self> {
        let is_file = [".jsonl", ".parquet"].iter().any(|extension| name.ends_with(extension));
        if is_file {
            return Ok(Self::File(name.to_owned()));
        }
        let (bare, stated) = Stated::of_name(name)?;
        Self::said(DataArm::parse(bare)?, stated)
    }

    fn said(arm: DataArm, stated: Stated) -> Result<Self> {
        match (arm.task(), stated) {
            (None, Stated::Plain | Stated::Exactly(Rendering::Chat | Rendering::Text)) => {
                Err(Error::request(format!("the data arm `{}` is said in symbols only", arm.name())))
            }
            _ => Ok(Self::Arm(arm, stated)),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Arm(arm, stated) => stated.named(&arm.name()),
            Self::File(path) => path.clone(),
        }
    }
}

impl Mixture {
    /// A mixture of named sources with their shares, which sum to one.
    ///
    /// # Errors
    /// If a name is unknown, a share is not positive, or the shares do not sum to one.
    pub fn new(shares: &BTreeMap<String, f64>) -> Result<Self> {
        let sources = shares.keys().map(|name| Source::parse(name)).collect::<Result<Vec<_>>>()?;
        let shares: Vec<f64> = shares.values().copied().collect();
        if let Some(share) = shares.iter().find(|share| share.is_nan() || **share <= 0.0) {
            return Err(Error::request(format!("expected shares above 0, found {share}"))
                .hint("leave out an arm that is not to be used"));
        }
        let total: f64 = shares.iter().sum();
        if (total - 1.0).abs() > 1e-6 {
            return Err(Error::request(format!("expected shares that sum to 1, found {total}"))
                .hint("for example { verified_cot = 0.9, allowed_requests = 0.1 }"));
        }
        Ok(Self { sources, shares })
    }

    /// The one source called `name`: a data arm or a file.
    ///
    /// # Errors
    /// If the name is that of neither.
    pub fn only(name: &str) -> Result<Self> {
        Ok(Self { sources: vec![Source::parse(name)?], shares: vec![1.0] })
    }

    /// The names of its sources with their shares.
    pub fn shares(&self) -> impl Iterator<Item = (String, f64)> {
        self.sources.iter().map(Source::name).zip(self.shares.iter().copied())
    }

    /// The files among its sources.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().filter_map(|source| match source {
            Source::File(path) => Some(Path::new(path)),
            Source::Arm(..) => None,
        })
    }

    /// The mixture as a model with this tokenizer learns it, see [`super::Suite::said_to`].
    ///
    /// # Errors
    /// If a data arm cannot be said so.
    pub fn said_to(&self, tokenizer: &Tokenizer, default: Stated) -> Result<Self> {
        let said = |source: &Source| match source {
            Source::Arm(arm, stated) => {
                let rendering = stated.or(default).for_model(true, tokenizer).at(source.name())?;
                Source::said(*arm, Stated::Exactly(rendering))
            }
            Source::File(_) => Ok(source.clone()),
        };
        let sources = self.sources.iter().map(said).collect::<Result<_>>()?;
        Ok(Self { sources, shares: self.shares.clone() })
    }

    /// The renderings that its data arms are said in, by their names alone.
    pub fn renderings(&self) -> impl Iterator<Item = Rendering> {
        self.sources.iter().filter_map(|source| match source {
            Source::Arm(_, stated) => Some(stated.alone(true)),
            Source::File(_) => None,
        })
    }

    /// Reads its files, for a model with this tokenizer.
    ///
    /// # Errors
    /// If a file cannot be read or a row of it is wrong.
    pub fn open(&self, tokenizer: &Tokenizer) -> Result<Corpus> {
        let open = |source: &Source| match source {
            Source::Arm(arm, stated) => Opened::arm(*arm, *stated, tokenizer).at(source.name()),
            Source::File(path) => {
                Dataset::documents(Path::new(path), tokenizer).map(|data| Opened::File(path.clone(), data))
            }
        };
        let sources = self.sources.iter().map(open).collect::<Result<_>>().at("field `data`")?;
        Ok(Corpus { sources, shares: self.shares.clone() })
    }
}

/// A mixture whose files are read: documents by their numbers.
#[derive(Clone, Debug)]
pub struct Corpus {
    sources: Vec<Opened>,
    shares: Vec<f64>,
}

#[derive(Clone, Debug)]
enum Opened {
    /// In symbols.
    Arm(DataArm),
    /// In plain language.
    Said(Said),
    /// A file by its name.
    File(String, Dataset<Document>),
}

/// A data arm in plain language, for a model.
#[derive(Clone)]
struct Said {
    arm: DataArm,
    voice: Voice,
    tokenizer: Tokenizer,
}

impl std::fmt::Debug for Said {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} in plain language", self.arm.name())
    }
}

impl Said {
    fn document(&self, seed: u64, number: u64) -> Result<Document> {
        let item = self.arm.item(seed, number);
        let Item { question, response, .. } =
            item.ok_or_else(|| Error::request(format!("`{}` is said in symbols only", self.arm.name())))?;
        let response = Asked::Text(self.voice.said(&response));
        let lesson = Lesson::of(&self.tokenizer, &self.voice.asked(&question), &response)?;
        Ok(Document::of_lesson(lesson, &self.tokenizer))
    }
}

impl Opened {
    fn arm(arm: DataArm, stated: Stated, tokenizer: &Tokenizer) -> Result<Self> {
        match (stated.for_model(true, tokenizer)?, arm.task()) {
            (Rendering::Symbols, _) => Ok(Self::Arm(arm)),
            (_, None) => Err(Error::request("it is said in symbols only")),
            (rendering, Some(task)) => {
                Ok(Self::Said(Said { arm, voice: task.voice(rendering), tokenizer: tokenizer.clone() }))
            }
        }
    }
}

impl Corpus {
    /// Leaves out the rows of its files that `limit` tokens leave nothing to learn of, and counts those that it cuts.
    ///
    /// # Errors
    /// If a file has no other row.
    pub(crate) fn within(self, limit: usize) -> Result<Self> {
        let fit = |source| match source {
            arm @ (Opened::Arm(_) | Opened::Said(_)) => Ok(arm),
            Opened::File(path, data) => data.within(limit, &path).map(|data| Opened::File(path, data)),
        };
        let sources = self.sources.into_iter().map(fit).collect::<Result<_>>()?;
        Ok(Self { sources, ..self })
    }

    /// What an answer must say of how its files were read.
    pub fn notes(&self) -> Vec<String> {
        let of = |source: &Opened| match source {
            Opened::Arm(_) | Opened::Said(_) => Vec::new(),
            Opened::File(_, data) => data.notes().to_vec(),
        };
        self.sources.iter().flat_map(of).collect()
    }

    /// Documents `first .. first + count` under `seed`. Each is drawn from a source at random by its share;
    /// which document of the source it is depends on its number alone, so a mixture holds the very traces of
    /// the pure arm wherever it holds traces. A file alone is gone through in passes.
    ///
    /// # Errors
    /// If the model's chat template refuses what a data arm says.
    pub fn documents(&self, seed: u64, first: u64, count: usize) -> Result<Vec<Document>> {
        let numbers = first..first.saturating_add(count as u64);
        let drawn: Vec<usize> = numbers.clone().map(|number| self.drawn(seed, number)).collect();
        let of_file = |place: usize, data: &Dataset<Document>| {
            let numbers = numbers.clone().zip(&drawn).filter(|(_, drawn)| **drawn == place);
            data.numbered(seed, numbers.map(|(number, _)| number))
        };
        let of_source = |(place, source): (usize, &Opened)| match source {
            Opened::Arm(_) | Opened::Said(_) => Vec::new().into_iter(),
            Opened::File(_, data) => of_file(place, data).into_iter(),
        };
        let mut from_files: Vec<_> = self.sources.iter().enumerate().map(of_source).collect();
        let document = |(number, place): (u64, &usize)| match &self.sources[*place] {
            Opened::Arm(arm) => Some(Ok(arm.document(seed, number))),
            Opened::Said(said) => Some(said.document(seed, number)),
            Opened::File(..) => from_files[*place].next().map(Ok),
        };
        numbers.zip(&drawn).filter_map(document).collect()
    }

    fn drawn(&self, seed: u64, number: u64) -> usize {
        Stream::new(seed, "tasks/mixture", &[number]).weighted(&self.shares).unwrap_or(0)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Name(String),
    Shares(BTreeMap<String, f64>),
}

impl TryFrom<Written> for Mixture {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        match written {
            Written::Name(name) => Self::only(&name),
            Written::Shares(shares) => Self::new(&shares),
        }
    }
}

impl From<Mixture> for Written {
    fn from(mixture: Mixture) -> Self {
        match mixture.sources.as_slice() {
            [source] => Self::Name(source.name()),
            _ => Self::Shares(mixture.shares().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks;

    fn documents(mixture: &Mixture, seed: u64, count: usize) -> Vec<Document> {
        mixture.open(&tasks::tokenizer().unwrap()).unwrap().documents(seed, 0, count).unwrap()
    }

    #[test]
    fn traces_reject_as_often_as_those_of_the_recipe() {
        let documents = documents(&Mixture::only("verified_cot").unwrap(), 1, 10_000);
        let mut rejects = [0.0; 6];
        let mut words = 0;
        for document in &documents {
            let length = document.response.split_whitespace().count() + 1;
            assert!(length <= 60, "{}", document.response);
            words += length;
            rejects[length / 10 - 1] += 1.0;
        }
        for (found, expected) in rejects.iter().zip([0.52, 0.22, 0.12, 0.07, 0.04, 0.02]) {
            assert!((found / documents.len() as f64 - expected).abs() < 0.02, "{rejects:?}");
        }
        assert!((words as f64 / documents.len() as f64 - 20.0).abs() < 1.5, "{words}");
    }

    #[test]
    fn a_mixture_holds_its_shares_and_the_traces_of_the_pure_arm() {
        let mixture: Mixture =
            serde_json::from_str(r#"{"verified_cot": 0.9, "allowed_requests": 0.1}"#).unwrap();
        let pure = Mixture::only("verified_cot").unwrap();
        let (mixed, pure) = (documents(&mixture, 3, 4000), documents(&pure, 3, 4000));
        let same = mixed.iter().zip(&pure).filter(|(a, b)| a == b).count();
        assert!((same as f64 / 4000.0 - 0.9).abs() < 0.02);
        assert_eq!(
            serde_json::from_str::<Mixture>(&serde_json::to_string(&mixture).unwrap()).unwrap(),
            mixture
        );
    }

    #[test]
    fn a_wrong_mixture_says_what_is_wrong() {
        let error = serde_json::from_str::<Mixture>(r#""verified_cots""#).unwrap_err().to_string();
        assert!(error.contains("did you mean `verified_cot`?"), "{error}");
        let error = serde_json::from_str::<Mixture>(r#"{"verified_cot": 0.5}"#).unwrap_err().to_string();
        assert!(error.contains("sum to 1, found 0.5"), "{error}");
    }

    #[test]
    fn a_file_is_gone_through_in_passes_and_mixes_with_arms() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.jsonl");
        let lines = (0..5).map(|row| format!("{{\"prompt\": \"<bos> :\", \"completion\": \"no {row}\"}}\n"));
        std::fs::write(&path, lines.collect::<String>()).unwrap();
        let alone = Mixture::only(path.to_str().unwrap()).unwrap();
        assert_eq!(alone.files().collect::<Vec<_>>(), [path.as_path()]);
        let mut pass: Vec<String> =
            documents(&alone, 1, 5).into_iter().map(|document| document.response).collect();
        pass.sort();
        assert_eq!(pass, ["no 0", "no 1", "no 2", "no 3", "no 4"]);
        let shares = [(path.display().to_string(), 0.25), ("refusals".to_owned(), 0.75)].into();
        let mixed = documents(&Mixture::new(&shares).unwrap(), 1, 2000);
        let mine = mixed.iter().filter(|document| document.prompt == "<bos> :").count();
        assert!((mine as f64 / 2000.0 - 0.25).abs() < 0.04, "{mine}");
        let missing = Mixture::only("nowhere.jsonl").unwrap().open(&tasks::tokenizer().unwrap());
        assert!(missing.unwrap_err().to_string().contains("nowhere.jsonl"));
    }
}
