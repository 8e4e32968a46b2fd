//! The language of conditions: expr-lang as Argo Rollouts 1.9 compiles it (`antonmedv/expr` 1.15.5).
//!
//! ```text
//!  text ──token──► tokens ──parser──► Node ──check (static types)──► Program ──eval──► Value
//! ```
//!
//! A condition is hostile input to an admission webhook: every stage has limits on time, memory and stack, none
//! reads a clock (the time is a parameter), and static types find a wrong condition at `kubectl apply`. Error texts
//! are the original's, so that what users find about them on the web applies. Why not a crate:
//! `docs/decisions/0023-expression-language.md`.

mod access;
mod check;
mod eval;
mod functions;
mod library;
mod limits;
mod methods;
mod operate;
mod operators;
mod parser;
mod span;
mod syntax;
mod token;
mod types;
mod value;

pub use limits::limits;
pub use types::Type;
pub use value::Value;

use jiff::Timestamp;
use library::Env;
use syntax::Node;

/// A condition whose names and types are checked.
#[derive(Debug, Clone)]
pub struct Program {
    node: Node,
    /// The type of its value, as far as it is known before evaluation.
    pub returns: Type,
    /// The members of `result` that it uses.
    pub asked: Vec<String>,
}

/// Parses `text` and checks it for a `result` of the given type.
///
/// # Errors
/// The first problem.
pub fn compile(text: &str, result: &Type) -> Result<Program, String> {
    let mut node = parser::parse(token::tokens(text)?)?;
    let (returns, asked) = check::check(&mut node, result)?;
    Ok(Program { node, returns, asked })
}

impl Program {
    /// Evaluates it for a `result` of the type that it was compiled for; `now` is the value of `now()`.
    ///
    /// # Errors
    /// Why the evaluation failed, for example that it took too long.
    pub fn run(&self, result: &Value, now: Timestamp) -> Result<Value, String> {
        eval::run(&self.node, &Env { result, now })
    }
}
