//! The program as its users run it: one binary, a module a topic.

mod bad_input;
mod descriptor;
mod dry_run;
mod evaluate;
mod fetch;
mod frozen;
mod house;
mod in_use;
mod labels;
mod merging;
mod old_runs;
mod onnx;
mod predict;
mod recipes;
mod report;
mod run_page;
mod support;
mod sweep;
mod sweep_inputs;
mod sweep_validation;
mod tarred;
mod telling;
mod together;
mod train;
mod tune;
mod validation;
