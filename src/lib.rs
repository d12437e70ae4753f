//! The parts of the program that are worth calling without it: tests, benches and fuzz targets do.

pub mod import;
