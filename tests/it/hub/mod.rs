//! Models and dictionaries by name, against a server that speaks the hub's protocol.

mod dictionaries;
mod downloads;
mod interruption;
mod server;
mod trust;
