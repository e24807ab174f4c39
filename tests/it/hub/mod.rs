//! Models by name, against a server that speaks the hub's protocol.

mod downloads;
mod interruption;
mod server;
mod trust;
