//! PythonStatus: what the children count about their requests, where all of them can read it.
//!
//! `table` is the memory they share, `counting` what a child writes into its part, `report` what is read
//! out of all parts, and `page` how that is shown.

pub mod counting;
pub mod page;
pub mod report;
pub mod table;
