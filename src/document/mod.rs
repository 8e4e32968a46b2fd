//! How a document of a user is read: within bounds, every finding with its path, and by the same table that makes its schema.

pub mod fields;
pub mod finding;
pub mod json_size;
pub mod schema;
pub mod yaml;
