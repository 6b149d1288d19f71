//! Run files.

use retake::store::bundle::{ImportOptions, ImportedRun, export, import};

const MOST: u64 = 4 << 20;

fn read(mut data: &[u8], allow_edited: bool) -> Option<ImportedRun> {
    import(&mut data, ImportOptions { allow_edited, max_bytes: MOST }).ok()
}

/// What is imported can be exported, and imported again as what it was.
pub fn run(data: &[u8]) {
    for allow_edited in [false, true] {
        let Some(run) = read(data, allow_edited) else { continue };
        let bodies: usize = run.exchanges.iter().map(|e| e.request.body.len()).sum();
        assert!(bodies as u64 <= MOST);
        let mut file = Vec::new();
        if export(&run, &mut file).is_ok() {
            let again = read(&file, false).expect("what was exported is a run file");
            assert_eq!(again.exchanges, run.exchanges);
        }
    }
}
