//! The one door for files that somebody else made.
//!
//! Whatever comes from outside (a model repository, an adapter, a dictionary, a data set) is opened, guarded and
//! accounted for here, in the same way whoever reads it:
//!
//! 1. [`bytes`] and [`text`] open regular files only, and look at the size before the content.
//! 2. [`guarded`] turns a panic of a library that met a damaged file into an error with the file's name.
//! 3. [`Object`] is a JSON object that knows which of its keys were read. [`Object::finish`] refuses the first key that
//!    nobody asked for; [`Object::left_out`] names them all, for an answer that says so.
//!
//! Whatever a file says is used, refused by name, or named in a note that reaches the user's answer.

mod archive;
mod door;
mod numbers;
pub(crate) mod numpy;
mod object;
pub(crate) mod pickle;

pub(crate) use door::{bytes, guarded, regular, text};
pub(crate) use numbers::decode;
pub(crate) use object::Object;
