//! Forks that are refused before anything runs.

use crate::support::lamp_model::{LampModel, Recorded, record};

fn lamp() -> Recorded {
    record(LampModel::start(), "Look for: desk", &[])
}

/// Refused with this exit code: the agent was not started, nothing was asked, no run was made.
#[track_caller]
fn refused(lamp: &Recorded, args: &[&str], code: i32) -> String {
    let before = lamp.model.connections();
    let (ran, live) = lamp.fork_with(&["sh", "-c", "touch started"], args, code);
    assert!(!lamp.env.work().join("started").exists(), "the agent was started: {}", ran.err);
    assert_eq!((live.len(), lamp.model.connections(), ran.out.as_str()), (0, before, ""), "{}", ran.err);
    assert!(!lamp.env.retake(["ls"]).expect(0).out.contains("lamp.2"), "there is no fork");
    ran.err
}

#[test]
fn edits_that_cannot_apply_name_what_is_there() {
    let lamp = lamp();
    let edits = [
        "9:result.stock=1",
        "0:result=x",
        "1:result.stock=1",
        "2:answer=hi",
        "2:model=big",
        "4:system+=x",
        "2:result.colour.hue=red",
        "2:result.stock.left=1",
        "2:result[3]=1",
        "2:result~=/brass/iron/",
        "2:result.stock=3",
        "*:model=small",
        "1:answer~=/brass/iron/",
        "*:tools-=fly",
        "5..:answer=hi",
        "5..3:model=big",
        "1:prompt~=/brass/iron/",
        "2:fault=429",
        "1:fault=200",
        "1:model+=x",
        "1:tools=x",
        "x:model=big",
        "1:model",
        "nonsense",
    ];
    let mut told = String::new();
    for edit in edits {
        told.push_str(&refused(&lamp, &["--set", edit], 64));
    }
    insta::assert_snapshot!("edits_that_cannot_apply", told);
}

#[test]
fn one_wrong_edit_of_several_stops_all() {
    let lamp = lamp();
    let told = refused(&lamp, &["--set", "2:result.stock=7", "--set", "1:result=x"], 64);
    assert!(told.contains("1:result=x"), "{told}");
    let told = refused(&lamp, &["--at", "4", "--set", "2:result.stock=7"], 64);
    assert!(told.contains("before the checkpoint at step 4"), "{told}");
    let told = refused(&lamp, &["--at", "9"], 64);
    assert!(told.contains("steps 1 to 5"), "{told}");
    refused(&lamp, &[], 64);
}

/// An editor that does this to the file `$1`.
fn editor(lamp: &mut Recorded, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = lamp.env.file("editor.sh", &format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("mode");
    lamp.env.set("EDITOR", path.display().to_string());
}

#[test]
fn an_editor_changes_a_result_or_an_answer() {
    let mut lamp = lamp();
    editor(&mut lamp, r#"sed -i 's/"stock": 3/"stock": 0/' "$1""#);
    let (ran, live) = lamp.fork(&["--edit", "--at", "2"], 0);
    assert!(ran.out.starts_with("No desk left"), "{}", ran.all());
    assert_eq!(live.len(), 1, "{}", ran.err);
    editor(&mut lamp, r#"echo "Sold out." > "$1""#);
    let (ran, live) = lamp.fork(&["--edit", "--at", "5"], 0);
    assert_eq!((ran.out.as_str(), live.len()), ("Sold out.\n", 0), "{}", ran.err);
    // The calls of an answer are in the file too.
    editor(&mut lamp, r#"sed -i 's/"desk"/"floor"/' "$1""#);
    let (ran, live) = lamp.fork(&["--edit", "--at", "3"], 0);
    assert_eq!(live.len(), 1, "{}", ran.err);
    assert!(ran.out.starts_with("3 of desk for 20"), "{}", ran.out);
    assert!(live[0].to_string().contains(r#"{\"item\": \"floor\", \"eur\": 20}"#), "{:#}", live[0]);
}

#[test]
fn an_editor_that_fails_or_changes_nothing_stops_before_anything_runs() {
    let mut lamp = lamp();
    let mut told = String::new();
    editor(&mut lamp, "exit 3");
    told.push_str(&refused(&lamp, &["--edit", "--at", "2"], 3));
    lamp.env.set("EDITOR", "/nowhere/to/be/found");
    let nowhere = refused(&lamp, &["--edit", "--at", "2"], 3);
    assert!(nowhere.contains("the editor /nowhere/to/be/found gave up"), "{nowhere}");
    editor(&mut lamp, "true");
    told.push_str(&refused(&lamp, &["--edit", "--at", "2"], 3));
    told.push_str(&refused(&lamp, &["--edit", "--at", "9"], 64));
    told.push_str(&refused(&lamp, &["--edit"], 64));
    editor(&mut lamp, r#"printf '\377' > "$1""#);
    told.push_str(&refused(&lamp, &["--edit", "--at", "2"], 3));
    editor(&mut lamp, r#"sed -i 's/"desk"/desk/' "$1""#);
    told.push_str(&refused(&lamp, &["--edit", "--at", "3"], 3));
    editor(&mut lamp, r#"rm "$1""#);
    told.push_str(&refused(&lamp, &["--edit", "--at", "2"], 3));
    let work = lamp.env.work().display().to_string();
    insta::assert_snapshot!("editors_that_do_not_help", told.replace(&work, "[work]"));
}

#[test]
fn a_secret_in_an_edit_is_neither_told_nor_kept() {
    let lamp = lamp();
    let secret = "sk-proj-9f8A7b6C5d4E3f2G1h0J9k8L7m6N5p4Q3r2S1t0U";
    let (ran, live) = lamp.fork(&["--set", &format!("2:result.item=\"{secret}\"")], 0);
    assert!(live[0].to_string().contains(secret), "the model sees what was asked for");
    assert!(!ran.err.contains(secret), "{}", ran.err);
    let told = lamp.env.retake(["fork", "lamp.1", "--set", &format!("1:result.key=\"{secret}\"")]).expect(64);
    assert!(!told.all().contains(secret), "{}", told.err);
    let told = lamp.env.retake(["fork", "lamp.1", "--set", &format!("key={secret}")]).expect(64);
    assert!(!told.all().contains(secret), "{}", told.err);
    for args in [
        &["show", "lamp.2"][..],
        &["show", "lamp.2", "--json"],
        &["ls", "--json"],
        &["diff", "lamp.1", "lamp.2"],
    ] {
        let shown = lamp.env.retake(args);
        assert!(!shown.all().contains(secret), "{args:?}: {}", shown.all());
    }
    let manifest = std::fs::read_dir(lamp.env.store().join("runs")).expect("runs").flatten();
    for run in manifest {
        let text = std::fs::read_to_string(run.path().join("manifest.json")).unwrap_or_default();
        assert!(!text.is_empty() && !text.contains(secret), "{text}");
    }
}
