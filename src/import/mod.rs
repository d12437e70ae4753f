//! Import of event logs: a file becomes the commands that would have led to it.
//!
//! [`xes`] reads the file, [`mapping`] says what its attributes mean, [`plan`] turns one case into
//! commands, asking the domain's own rules which of them the case needs. All of it is pure but the
//! reading; sending the commands, and everything a terminal shows, is the business of the program.

pub mod mapping;
pub mod plan;
pub mod xes;
