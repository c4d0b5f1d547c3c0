//! The program as its users run it: one binary, a module a topic.

mod bad_input;
mod evaluate;
mod frozen;
mod house;
mod labels;
mod merging;
mod old_runs;
mod predict;
mod report;
mod run_page;
mod support;
mod sweep;
mod tarred;
mod telling;
mod train;
mod validation;
