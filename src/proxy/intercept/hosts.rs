//! Which hosts are looked into, and what could not be.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

/// How long the second connection to a host waits for the first.
const LONGEST_TRIAL: Duration = Duration::from_secs(1);

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

/// Why the traffic of a host is not recorded, or not all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unseen {
    /// Passed on, as it was asked for.
    Left,
    /// Its client takes no certificate but those that it knows; passed on.
    Pinned,
    /// What it speaks is neither HTTP/1.1 nor HTTP/2; passed on.
    Foreign,
    /// Its client saw the certificate and asked nothing.
    Dropped,
    /// A client takes no certificate but those that it knows, while another asks under retake's. It is left to fail, so
    /// that the other stays in the recording.
    Refused,
}

/// What is known of a host.
#[derive(Debug, Default)]
struct Host {
    /// A client has asked something behind our certificate.
    asked: bool,
    why: Option<Unseen>,
}

/// Hosts by name.
type ByName = BTreeMap<String, Host>;

/// Runs that are kept apart at most: clients name them.
const MOST_RUNS: usize = 1024;
/// Hosts of a run that are told of at most.
const MOST_HOSTS: usize = 1024;

/// Hosts whose traffic was not recorded, with the reason: of all clients together, and of those of each run. Clones are the
/// same books.
#[derive(Debug, Clone, Default)]
pub struct Passed(Arc<Mutex<PassedBooks>>);

#[derive(Debug, Default)]
struct PassedBooks {
    all: ByName,
    runs: BTreeMap<Option<String>, ByName>,
}

impl Passed {
    fn books(&self) -> MutexGuard<'_, PassedBooks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, run: Option<&str>, host: &str, change: impl Fn(&mut Host)) {
        let mut books = self.books();
        change(books.all.entry(host.to_string()).or_default());
        let run = run.map(str::to_string);
        if books.runs.len() >= MOST_RUNS && !books.runs.contains_key(&run) {
            return;
        }
        let hosts = books.runs.entry(run).or_default();
        if hosts.len() < MOST_HOSTS || hosts.contains_key(host) {
            change(hosts.entry(host.to_string()).or_default());
        }
    }

    /// A host's traffic is passed on.
    pub(super) fn note(&self, run: Option<&str>, host: &str, why: Unseen) {
        self.change(run, host, |known| known.why = known.why.or(Some(why)));
    }

    /// A client is shown the certificate. Many that do not like it hang up without a word.
    pub(super) fn shown(&self, run: Option<&str>, host: &str) {
        self.change(run, host, |known| {
            if !known.asked {
                known.why = known.why.or(Some(Unseen::Dropped));
            }
        });
    }

    /// A client asks something behind the certificate.
    pub(super) fn asked(&self, run: Option<&str>, host: &str) {
        self.change(run, host, |known| {
            known.asked = true;
            known.why = match known.why {
                Some(Unseen::Pinned) => Some(Unseen::Refused),
                Some(Unseen::Dropped) => None,
                why => why,
            };
        });
    }

    /// A client said why it does not go on.
    pub(super) fn refuses(&self, run: Option<&str>, host: &str, why: Unseen) {
        self.change(run, host, |known| {
            known.why = Some(if known.asked && why == Unseen::Pinned { Unseen::Refused } else { why });
        });
    }

    /// Why a host cannot be looked into, when that was tried.
    pub(super) fn refused(&self, host: &str) -> Option<Unseen> {
        let why = self.books().all.get(host).and_then(|known| known.why);
        why.filter(|why| matches!(why, Unseen::Pinned | Unseen::Foreign))
    }

    pub(super) fn list(&self) -> Vec<(String, Unseen)> {
        told(&self.books().all)
    }

    /// The hosts of a run that ends; without a name, of those that named none.
    pub fn take(&self, run: Option<&str>) -> Vec<(String, Unseen)> {
        let hosts = self.books().runs.remove(&run.map(str::to_string));
        hosts.as_ref().map(told).unwrap_or_default()
    }

    /// Those that no run has been told of, each once.
    pub fn rest(&self) -> Vec<(String, Unseen)> {
        let runs = std::mem::take(&mut self.books().runs);
        let hosts: BTreeMap<String, Unseen> = runs.values().flat_map(told).collect();
        hosts.into_iter().collect()
    }
}

fn told(hosts: &ByName) -> Vec<(String, Unseen)> {
    hosts.iter().filter_map(|(host, known)| Some((host.clone(), known.why?))).collect()
}

/// Hosts whose clients are being tried for the first time. A client that is refused comes back at once: until it is known
/// how the first try ends, the next one waits.
#[derive(Debug, Default)]
pub(super) struct Trials(Mutex<HashMap<String, Arc<Trial>>>);

/// True once a client of the host has gone on.
pub(super) type Trial = tokio::sync::Mutex<bool>;

impl Trials {
    /// The turn to be tried; none when a client of the host has gone on before, or the one before takes its time.
    pub(super) async fn turn(&self, host: &str) -> Option<OwnedMutexGuard<bool>> {
        let trial = {
            let mut trials = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            trials.entry(host.to_string()).or_default().clone()
        };
        let turn = timeout(LONGEST_TRIAL, trial.lock_owned()).await.ok()?;
        (!*turn).then_some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(only: &[&str], except: &[&str]) -> Hosts {
        let own = |names: &[&str]| names.iter().map(|n| n.to_string()).collect();
        Hosts { only: own(only), except: own(except) }
    }

    #[tokio::test]
    async fn a_host_is_tried_by_one_client_at_a_time_until_one_goes_on() {
        let trials = Trials::default();
        let mut first = trials.turn("a").await.unwrap();
        assert!(trials.turn("b").await.is_some(), "another host");
        let second = trials.turn("a");
        tokio::pin!(second);
        assert!(timeout(Duration::from_millis(20), &mut second).await.is_err(), "it waits");
        *first = true;
        drop(first);
        assert!(
            second.await.is_none() && trials.turn("a").await.is_none(),
            "there is nothing to try any more"
        );
    }

    #[test]
    fn a_host_is_passed_on_only_when_its_client_said_why_and_none_went_on() {
        let passed = Passed::default();
        let told =
            |host: &str| passed.list().into_iter().find(|(known, _)| known == host).map(|(_, why)| why);
        passed.shown(None, "a");
        assert_eq!((told("a"), passed.refused("a")), (Some(Unseen::Dropped), None), "it is tried again");
        passed.asked(None, "a");
        passed.shown(None, "a");
        assert_eq!(told("a"), None);
        passed.refuses(None, "a", Unseen::Pinned);
        assert_eq!(
            (told("a"), passed.refused("a")),
            (Some(Unseen::Refused), None),
            "the other is still seen"
        );
        passed.shown(None, "b");
        passed.refuses(None, "b", Unseen::Pinned);
        passed.note(None, "b", Unseen::Pinned);
        assert_eq!((told("b"), passed.refused("b")), (Some(Unseen::Pinned), Some(Unseen::Pinned)));
        passed.asked(None, "b");
        assert_eq!((told("b"), passed.refused("b")), (Some(Unseen::Refused), None));
    }

    #[test]
    fn each_run_is_told_of_its_own_hosts_once() {
        let passed = Passed::default();
        passed.shown(Some("one"), "a");
        passed.refuses(Some("one"), "a", Unseen::Pinned);
        // Known to be refused, it is passed on for the other run, which is told so too.
        assert_eq!(passed.refused("a"), Some(Unseen::Pinned));
        passed.note(Some("two"), "a", Unseen::Pinned);
        passed.shown(None, "b");
        assert_eq!(passed.take(Some("one")), [("a".to_string(), Unseen::Pinned)]);
        assert_eq!(passed.take(Some("one")), []);
        let rest = [("a".to_string(), Unseen::Pinned), ("b".to_string(), Unseen::Dropped)];
        assert_eq!(passed.rest(), rest);
        assert_eq!((passed.rest().len(), passed.list().len()), (0, 2));
        for run in 0..MOST_RUNS + 10 {
            passed.note(Some(&run.to_string()), "c", Unseen::Left);
        }
        assert!(passed.0.lock().unwrap().runs.len() <= MOST_RUNS);
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
