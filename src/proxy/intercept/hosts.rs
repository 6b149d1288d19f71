//! Which hosts are looked into, and what could not be.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Which hosts are to be recorded. A name stands for its sub-domains too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts {
    /// Nothing but these; empty: all.
    pub only: Vec<String>,
    /// None of these.
    pub except: Vec<String>,
}

impl Hosts {
    /// True for a host that is recorded.
    pub fn include(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let is = |name: &String| {
            let name = name.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
            host.strip_suffix(&name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        (self.only.is_empty() || self.only.iter().any(is)) && !self.except.iter().any(is)
    }
}

/// Why the traffic of a host was passed on unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unseen {
    /// As it was asked for.
    Left,
    /// Its client takes no certificate but those that it knows.
    Pinned,
    /// What it speaks is no HTTP/1.1.
    Foreign,
}

/// Hosts whose traffic was not recorded, with the reason and how many connections there were.
#[derive(Debug, Default)]
pub(super) struct Passed(Mutex<BTreeMap<String, (Unseen, u32)>>);

impl Passed {
    pub(super) fn note(&self, host: &str, why: Unseen) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.entry(host.to_string()).or_insert((why, 0)).1 += 1;
    }

    /// Why a host cannot be looked into, when that was tried.
    pub(super) fn refused(&self, host: &str) -> Option<Unseen> {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.get(host).map(|(why, _)| *why).filter(|why| *why != Unseen::Left)
    }

    pub(super) fn list(&self) -> Vec<(String, Unseen)> {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.iter().map(|(host, (why, _))| (host.clone(), *why)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(only: &[&str], except: &[&str]) -> Hosts {
        let own = |names: &[&str]| names.iter().map(|n| n.to_string()).collect();
        Hosts { only: own(only), except: own(except) }
    }

    #[test]
    fn a_name_stands_for_its_sub_domains_and_for_no_other_name() {
        let some = hosts(&["example.com", "*.test"], &["files.example.com"]);
        for (host, seen) in [
            ("example.com", true),
            ("API.Example.com.", true),
            ("files.example.com", false),
            ("a.files.example.com", false),
            ("notexample.com", false),
            ("x.test", true),
            ("127.0.0.1", false),
        ] {
            assert_eq!(some.include(host), seen, "{host}");
        }
        assert!(Hosts::default().include("anything") && !hosts(&[], &["a"]).include("a"));
    }
}
