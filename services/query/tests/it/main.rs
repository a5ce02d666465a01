//! The Q language as its users meet it.

mod equality;
mod errors;
mod fuzz;
mod hints;
mod json;
mod language;
mod limits;
mod printing;
mod readme;
mod reference;
mod strategies;
mod times;
