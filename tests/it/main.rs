//! One test binary, a module per behaviour.

mod support;

mod drift;
mod durable;
mod examples;
mod faults;
mod fork_refusals;
mod forks;
mod heads;
mod invisible;
mod layers;
mod proxy_answers;
mod proxy_faults;
mod readme;
mod sdk;
mod secrets;
mod signed_forks;
mod words;
