//! Problems, exact verifiers, suites, and the built-in microcosm that the quickstart trains on.
//!
//! The microcosm is a small world with the shape of post-training. A base model learns arithmetic, a
//! search task at low density, a few unrelated skills, and to refuse a category of requests. Then one
//! task, general points, is post-trained, and everything else tells what that did:
//!
//! * `make F10 K 4 8 to 24` (*general points*, after Chu et al., arXiv 2501.17161): reach the target from
//!   three cards, faces counting 10. Under the shifted rule `make F13` they count 11, 12, 13.
//! * `count 12 5 3 to 31` (*countdown*): the same with plain numbers.
//! * `chain 2 * 4 + 12` (*arithmetic chain*), `calc`, `vals`, and the letter skills.
//! * `ask cut h c ki`: a request, refused iff both its verb and its mark are of the disallowed kind.
//!
//! From the bottom up: [`vocabulary`] lists the words; `cards`, `attempts` and `search` generate and
//! write out solutions; `chains`, `skills` and `requests` are the other tasks; `split` holds out one
//! problem in four *from every task and stage at once*; `numbered` lists the others, the same for all that train;
//! `verify` judges responses. On these stand
//! what other floors use: [`Suite`] (held-out [`Problem`]s, [`Endpoint`]s, [`Score`]s), the training
//! documents of [`curriculum`] and of [`Mixture`]s of [`DataArm`]s, and [`training_problems`] with [`reward`] for
//! reinforcement learning.
//!
//! A suite may also be a file of problems that a user brings (`external`): rows of TRL or verl, judged
//! by exact match, number, mathematics, regular expression, exact expression, words of refusal, a program, or another model. Training
//! data may be files, too ([`Dataset`]), alone or mixed with data arms. `row` and `columns` know what of a row was read;
//! `conversation` makes text of messages, and `lesson` tokens of which some are learned ([`Lesson`]), as TRL does.
//! `judged` says what of a completion is judged: what a person would read.
//!
//! Everything built in is a pure function of (seed, index): document 90 000 does not depend on whether document
//! 7 was ever asked for.

/// The endpoint of requests that reads the whole answer: `refuse` is known by the first word.
pub const REFUSE_WHOLE: &str = "refuse_whole";

mod attempts;
mod built_in;
mod cards;
mod chains;
mod columns;
mod conversation;
mod curriculum;
mod data_arm;
mod dataset;
mod external;
mod judged;
mod lesson;
mod mixture;
mod numbered;
mod plain;
mod preferences;
mod problem;
mod rendering;
mod requests;
mod row;
mod scale;
mod search;
mod skills;
mod split;
mod suite;
mod understood;
mod verify;
pub mod vocabulary;

pub(crate) use columns::Columns;
pub(crate) use conversation::Asked;
pub use curriculum::curriculum;
pub use data_arm::DataArm;
pub use dataset::Dataset;
pub use external::{Label, label};
pub use judged::Judged;
pub use lesson::Lesson;
pub(crate) use lesson::{common, encoded_together};
pub use mixture::{Corpus, Mixture};
pub use problem::{Document, Endpoint, Half, Pair, Problem, Score};
pub use rendering::{Rendering, Stated};
pub(crate) use row::Row;
pub use scale::Scale;
pub use suite::{Suite, reward, training_problems};
pub use understood::{Lengths, Piece, Reads, Understood, understood};
pub use vocabulary::tokenizer;
