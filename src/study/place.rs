//! Where a run reads and writes, and what it accepts.

use crate::compute::Compute;
use crate::store::Store;
use std::path::PathBuf;

/// Where a run reads and writes.
#[derive(Clone, Debug)]
pub struct RunPlace {
    /// Everything a run makes lives here.
    pub out: PathBuf,
    /// The artifacts, if they are shared with other studies; else they live in `out`.
    pub store: Option<PathBuf>,
    /// Where to compute, and with which kernels.
    pub device: Compute,
    /// Whether artifacts count that other code made of the same question: then every table and the page say so.
    pub accept_older: bool,
}

impl RunPlace {
    /// The store of this place.
    pub fn store(&self) -> Store {
        Store::new(self.store.clone().unwrap_or_else(|| self.out.join("store")))
    }
}
