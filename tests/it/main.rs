//! One test binary, a module per behaviour.

mod support;

mod carrying;
mod damage;
mod declared;
mod destinations;
mod doctor;
mod drift;
mod durable;
mod examples;
mod faults;
mod fences;
mod fork_refusals;
mod forks;
mod heads;
mod invisible;
mod kin;
mod layers;
mod messages;
mod moving;
mod no_room;
mod outcomes;
mod pins;
mod plans;
mod proxy_answers;
mod proxy_faults;
mod readme;
mod sdk;
mod secrets;
mod shapes;
mod signals;
mod signed_forks;
mod typos;
mod verbs;
mod words;
