//! One file a section of the page: rows in, paragraphs, figures and tables out.

pub(super) mod balance;
pub(super) mod beside;
mod budget;
pub(super) mod decoders;
mod dynamics;
pub(super) mod edited;
pub(super) mod effects;
mod elsewhere;
pub(super) mod endpoints;
pub(super) mod features;
pub(super) mod finding;
pub(super) mod fitness;
pub(super) mod method;
pub(super) mod models;
mod patterns;
pub(super) mod provenance;
pub(super) mod published;
mod readouts;
pub(super) mod reference;
pub(super) mod run;
mod shifts;
pub(super) mod training;
pub(super) mod trajectories;
pub(super) mod words;

/// The name of the edit that exchanges the whole activation, in conditions and tables.
pub(super) const WHOLE: &str = "whole_difference";
