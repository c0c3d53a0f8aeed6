//! PythonStatus: what the children count about their requests, where all of them can read it.
//!
//! `table` is the memory they share, made of `text` and numbers, `counting` what a child writes into its
//! part, and `process` tells whether the child still runs. `report` is what is read out of all parts,
//! `stacks` how one child asks the others where their threads are, and `page` answers with that as `html`,
//! `json` or `prometheus` text.

pub mod counting;
mod html;
mod json;
pub mod page;
pub mod process;
mod prometheus;
mod report;
mod stacks;
mod table;
mod text;
