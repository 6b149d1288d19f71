//! retake records the runs of LLM agents and plays them back.
//!
//! The modules, from the ground up: [`exchange`] and [`dialect`] (what goes over the wire, and what it means), [`run`]
//! (lanes, steps, checkpoints, edits), [`redact`], [`holes`] (values that differ from run to run), [`proxy`], [`store`],
//! [`diff`], then those who do the work: [`record`], [`replay`] with what is declared for it ([`config`]), [`agent`], and
//! [`report`] and [`cli`], who tell.

pub mod dialect;
pub mod exchange;
pub mod mcp;
pub mod otlp;

pub mod holes;
pub mod prices;
pub mod proxy;
pub mod redact;
pub mod run;
pub mod span;

pub mod diff;
pub mod import;
pub mod stats;
pub mod store;

pub mod agent;
pub mod bridge;
pub mod config;
pub mod record;
pub mod replay;
pub mod report;
pub mod shell;
pub mod suite;

pub mod cli;
pub mod demo;
