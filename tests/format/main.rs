//! The portable run file: what `replay-format.md` promises.

mod doc;
mod draft;
mod edited;
mod golden;
mod python;
mod roundtrip;
mod runs;
mod schema;
mod size;

use retake::store::bundle::{BundleError, ExportSource, ImportOptions, ImportedRun, export, import};
use std::path::PathBuf;

/// A file of this repository.
fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn exported(run: &dyn ExportSource) -> Vec<u8> {
    let mut bytes = Vec::new();
    export(run, &mut bytes).expect("exports");
    bytes
}

fn imported(bytes: &[u8]) -> Result<ImportedRun, BundleError> {
    import(&mut &bytes[..], ImportOptions::default())
}

fn imported_edited(bytes: &[u8]) -> Result<ImportedRun, BundleError> {
    import(&mut &bytes[..], ImportOptions { allow_edited: true, ..ImportOptions::default() })
}
