//! The Q language: conditions on a device, as it is and as it was before a change.
//!
//! A text becomes an [`Expr`] (lexer, Pratt parser, types), and that a [`Filter`]: a list of tests, each with
//! the test that follows where it holds and where it does not. A filter reads documents through the port
//! [`Fields`], so that nothing is built for it, and allocates nothing when it runs.
//!
//! The language itself is described in the crate's README, whose examples are run as tests.
//!
//! This crate does no I/O, reads no clock, keeps no state and depends on no other crate of the workspace.

mod compile;
mod error;
mod expr;
mod field;
mod filter;
mod hint;
mod lexer;
mod limits;
mod memo;
mod parser;
mod time;
mod types;
mod value;

pub use error::{Expected, Fix, Found, ParseError};
pub use expr::{Comparison, Expr, Literal, Operand, Path, Sign};
pub use field::{Field, Head};
pub use filter::Filter;
pub use hint::IndexHint;
pub use limits::Limits;
pub use memo::Memo;
pub use time::parse_timestamp;
pub use types::Type;
pub use value::{Fields, Nothing, Value};

/// The examples in Rust of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
