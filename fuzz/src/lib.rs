//! The bodies of the fuzz targets: the same as those of `tests/properties.rs`.

#[path = "../../tests/common/mod.rs"]
pub mod common;
