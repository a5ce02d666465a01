//! The program: its commands, its mistakes, and what it leaves behind when it is killed.

mod configuration;
mod crash;
mod demo;
mod tokens;
mod trace;
