//! One test binary, a module per behaviour.

mod support;

mod carrying;
mod drift;
mod durable;
mod examples;
mod faults;
mod fork_refusals;
mod forks;
mod heads;
mod invisible;
mod layers;
mod moving;
mod no_room;
mod proxy_answers;
mod proxy_faults;
mod readme;
mod sdk;
mod secrets;
mod shapes;
mod signals;
mod signed_forks;
mod verbs;
mod words;
