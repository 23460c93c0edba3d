//! The examples, as a person runs them: real processes in an empty directory, without a key.
