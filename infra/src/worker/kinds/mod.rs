//! The built-in kinds. Each module says what its payload and its result are.

pub(super) mod command;
pub(super) mod http;
pub(super) mod noop;
pub(super) mod sleep;

pub use self::command::{CommandSettings, MEMORY_BYTES_DEFAULT, TIME_DEFAULT};
pub use self::http::HttpSettings;
pub use ipnet::IpNet;
