//! How a user's document is read: within limits, with a path for every finding, and by the table that also
//! generates its schema.

pub mod fields;
pub mod finding;
pub mod json_size;
pub mod schema;
pub mod yaml;
