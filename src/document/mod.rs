//! How a user's document is read: within limits, with a path for every finding, and by readers that also say what
//! they accept.

pub mod fields;
pub mod finding;
pub mod json_size;
pub mod schema;
pub mod yaml;
