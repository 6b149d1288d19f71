//! One test binary, a module per behaviour.

mod support;

mod destinations;
mod drift;
mod durable;
mod examples;
mod faults;
mod fences;
mod heads;
mod invisible;
mod kin;
mod layers;
mod outcomes;
mod proxy_answers;
mod proxy_faults;
mod readme;
mod sdk;
mod secrets;
mod words;
