//! The language of conditions: expr-lang as Argo Rollouts 1.9 compiles it (`antonmedv/expr` 1.15.5).
//!
//! ```text
//!  text ──token──► tokens ──parser──► Node ──check (static types)──► Program ──eval──► Value
//! ```
//!
//! Written here because a condition is hostile input to an admission webhook: every stage is bounded in
//! time, memory and stack, none reads a clock (the time is given), and the static types tell a wrong condition at `apply`.
//! Error texts are those of the original, so that what users find about them on the web applies.

mod access;
mod check;
mod eval;
mod functions;
mod library;
mod methods;
mod operate;
mod operators;
mod parser;
mod span;
mod syntax;
mod token;
mod types;
mod value;

pub use types::Type;
pub use value::Value;

use jiff::Timestamp;
use library::Env;
use syntax::Node;

/// A condition whose names and types are checked.
#[derive(Debug, Clone)]
pub struct Program {
    node: Node,
    /// What it evaluates to, as far as that is known before.
    pub returns: Type,
    /// What it asks of `result` by name.
    pub asked: Vec<String>,
}

/// Parses `text` and checks it for a `result` of the given type.
///
/// # Errors
/// The first thing wrong with it.
pub fn compile(text: &str, result: &Type) -> Result<Program, String> {
    let mut node = parser::parse(token::tokens(text)?)?;
    let (returns, asked) = check::check(&mut node, result)?;
    Ok(Program { node, returns, asked })
}

impl Program {
    /// Evaluates it for a `result` of the type it was compiled for, at the time that is `now`.
    ///
    /// # Errors
    /// What went wrong in evaluation, or that it took too long.
    pub fn run(&self, result: &Value, now: Timestamp) -> Result<Value, String> {
        eval::run(&self.node, &Env { result, now })
    }
}
