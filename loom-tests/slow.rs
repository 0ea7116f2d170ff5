//! Larger models, for the long run: `.ci/run loom 3 slow`.
