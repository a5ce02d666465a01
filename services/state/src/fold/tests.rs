//! The rules of the fold, one by one. What holds for any events stands in `properties`.

mod events;
mod properties;
mod rules;
mod things;
