//! The golden files: the bytes of an export do not change unnoticed, and every one of them can be imported.

use crate::{exported, imported, path, runs};

/// Where the file of a golden run is.
pub fn file(name: &str) -> std::path::PathBuf {
    path(&format!("fixtures/format/v1/{name}.retake"))
}

#[test]
fn exports_are_the_golden_files() {
    for (name, run) in runs::all() {
        let bytes = exported(&run);
        let file = file(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &bytes).unwrap();
        }
        let golden = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(
            golden == bytes,
            "{} is not what the exporter writes; if that is meant: UPDATE_GOLDEN=1 and a new minor version",
            file.display()
        );
    }
}

#[test]
fn golden_files_give_the_run_they_were_made_from() {
    for (name, run) in runs::all() {
        let bytes = std::fs::read(file(name)).unwrap();
        assert_eq!(imported(&bytes).unwrap(), run, "{name}");
    }
}

#[test]
fn a_turn_shows_what_is_new() {
    let text = String::from_utf8(std::fs::read(file("openai-tools")).unwrap()).unwrap();
    let third = text.lines().find(|line| line.starts_with(r#"{"kind":"request","exchange":3,"#)).unwrap();
    let items =
        r#""items":[{"exchange":2,"from":0,"items":8},",",9,",",10,{"exchange":2,"from":8,"items":5}]"#;
    assert!(third.contains(items), "{third}");
    assert_eq!(text.matches("My laptop from order A123").count(), 1);
}
