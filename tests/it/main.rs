//! One test binary, a module per behaviour.

mod support;

mod drift;
mod examples;
mod faults;
mod heads;
mod invisible;
mod proxy_answers;
mod proxy_faults;
mod sdk;
