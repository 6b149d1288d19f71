//! Runs that go: rm and gc.

use crate::support::env::TestEnv;
use crate::support::worker::Worker;
use serde_json::json;

mod removing {
    use super::*;

    #[test]
    fn a_fork_outlives_its_parent() {
        let worker = Worker::forked();
        let env = &worker.env;
        let shown = |step: &str| env.retake(["show", "w.2", step, "--context", "--json"]).expect(0).out;
        let before: Vec<String> = ["1", "3", "6", "8"].map(shown).to_vec();
        env.retake(["export", "w.2", "before.retake"]).expect(0);
        // As a second witness of what the parent was.
        env.retake(["export", "w.1", "parent.retake"]).expect(0);
        let told = env.retake(["rm", "w.1"]).expect(0);
        assert!(told.out.starts_with("removed   w.1 ") && told.out.contains("w.2"), "{}", told.out);
        assert_eq!(env.listed(), ["w.2"]);
        env.retake(["show", "w.1"]).expect(3);
        assert_eq!(["1", "3", "6", "8"].map(shown).to_vec(), before);
        env.retake(["export", "w.2", "after.retake"]).expect(0);
        let file = |name: &str| std::fs::read(env.work().join(name)).unwrap();
        assert!(file("before.retake") == file("after.retake"), "the fork is as it was");
        let asked = worker.model.connections();
        let replayed = env.retake(["replay", "w.2"]).expect(0);
        assert!(replayed.out.contains("escalated"), "{}", replayed.out);
        assert_eq!(worker.model.connections(), asked);
        env.retake(["import", "parent.retake", "--name", "old"]).expect(0);
        let compared = env.retake(["diff", "old.1", "w.2"]).expect(1);
        assert!(compared.out.contains("check_fraud.risk"), "{}", compared.out);
        assert!(env.retake(["ls"]).expect(0).out.contains("w.2"));
    }

    #[test]
    fn a_grandchild_outlives_both() {
        let worker = Worker::forked();
        let env = &worker.env;
        env.retake(["fork", "w.2", "--set", "8:answer=\"Refused.\""]).expect(0);
        let context = env.retake(["show", "w.3", "8", "--context", "--json"]).expect(0).out;
        env.retake(["rm", "w.1", "w.2"]).expect(0);
        assert_eq!(env.retake(["show", "w.3", "8", "--context", "--json"]).expect(0).out, context);
        let replayed = env.retake(["replay", "w.3"]).expect(0);
        assert!(replayed.out.contains("Refused."), "{}", replayed.out);
    }

    #[test]
    fn a_wrong_name_removes_nothing() {
        let worker = Worker::forked();
        let env = &worker.env;
        for (wrong, near) in [("w.3", "w.2"), ("v.1", "w.1"), ("W.2", "w.2")] {
            let refused = env.retake(["rm", "w.1", wrong]).expect(3);
            refused.says(&[&format!("no run {wrong:?}"), &format!("did you mean {near}?")]);
            assert_eq!(refused.out, "");
        }
        let refused = env.retake(["rm", "something-else"]).expect(3);
        refused.says(&["something-else", "retake ls"]);
        assert!(!refused.err.contains("did you mean"), "{}", refused.err);
        for odd in ["../w.1", "", "w.01", "/", "w.1/"] {
            env.retake(["rm", odd]).expect(3);
        }
        assert_eq!(env.listed(), ["w.1", "w.2"]);
        env.retake(["rm"]).expect(64);
    }

    #[test]
    fn the_same_run_twice_is_one() {
        let worker = Worker::forked();
        // A name alone is the newest of that name, when it is asked.
        let told = worker.env.retake(["rm", "w.2", "w", "w.2"]).expect(0);
        assert_eq!(told.out.lines().count(), 1, "{}", told.out);
        assert_eq!(worker.env.listed(), ["w.1"]);
    }

    #[test]
    fn one_that_is_being_recorded_stays() {
        let env = TestEnv::new();
        let mut child = env.recording("n");
        let refused = env.retake(["rm", "n.1"]).expect(3);
        refused.says(&["n.1", "recorded"]);
        let told = env.retake(["gc", "--keep", "0", "--yes"]).expect(0);
        assert!(told.out.contains("0 runs"), "{}", told.out);
        assert_eq!(env.retake(["ls", "--json"]).expect(0).json()[0]["state"], "recording");
        child.kill().unwrap();
        child.wait().unwrap();
        env.retake(["rm", "n.1"]).expect(0);
        assert_eq!(env.listed(), Vec::<String>::new());
    }
}

mod collecting {
    use super::*;

    #[test]
    fn keeps_the_newest() {
        let worker = Worker::forked();
        let env = &worker.env;
        worker.record(&[]).expect(0);
        let none = env.retake(["gc"]).expect(0);
        assert!(none.out.starts_with("removed 0 runs"), "{}", none.out);
        assert_eq!(env.listed().len(), 3, "without a rule nothing goes");

        let dry = env.retake(["gc", "--keep", "2", "--dry-run"]).expect(0);
        assert!(dry.out.starts_with("would remove 0 runs, "), "w.2 was forked from w.1: {}", dry.out);
        let dry = env.retake(["gc", "--keep", "1", "--dry-run"]).expect(0);
        assert!(
            dry.out.starts_with("would remove   w.2\nwould remove   w.1\nwould remove 2 runs, "),
            "{}",
            dry.out
        );
        let all = env.retake(["gc", "--keep", "0", "--dry-run", "--json"]).expect(0).json();
        assert_eq!((&all["removed"], &all["dry_run"]), (&json!(["w.3", "w.2", "w.1"]), &json!(true)));
        assert_eq!(env.listed().len(), 3, "it only said so");

        let done = env.retake(["gc", "--keep", "1"]).expect(0);
        assert!(done.out.starts_with("removing  w.2\nremoving  w.1\nremoved 2 runs, "), "{}", done.out);
        assert_eq!(env.listed(), ["w.3"]);

        let young = env.retake(["gc", "--older-than", "1"]).expect(0);
        assert!(young.out.starts_with("removed 0 runs"), "{}", young.out);
        env.retake(["gc", "--keep", "-1"]).expect(64);
    }

    #[test]
    fn a_run_that_cannot_go_is_named() {
        let worker = Worker::forked();
        let env = &worker.env;
        // The fork's manifest is gone: what it shares cannot be moved into it.
        std::fs::write(env.store().join("runs/w.2/manifest.json"), "{").unwrap();
        let told = env.retake(["gc", "--keep", "0", "--yes"]).expect(0);
        assert!(told.out.contains("removed 0 runs"), "{}", told.out);
        told.says(&["w.1", "w.2"]);
        let shape = env.retake(["gc", "--keep", "0", "--yes", "--json"]).expect(0).json();
        assert_eq!(shape["kept"][0]["run"], "w.1", "{shape}");
    }
}
