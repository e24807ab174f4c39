//! A study file becomes a graph of stages.
