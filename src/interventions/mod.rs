//! What is written into a forward pass, and nothing else.
