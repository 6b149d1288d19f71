//! The index: the catalogue kept by sled. Nothing but this file knows of sled.
//!
//! It can be lost at any time: it is made again from the runs. sled admits one process, so that whoever cannot get
//! the lock does without. sled panics on a damaged file (68 of 100 flipped bytes, all inside `open`) or loses rows
//! silently (5 of 100), so it is opened behind `catch_unwind`, rows carry checksums, and rows that hang on others are
//! counted. An index that cannot be relied on is moved aside to `index.bad-TIME`, and a new one is made.

use super::catalogue::{self, Batch, MemoryRows, Row, Rows, Table, Unusable};
use super::{RunSummary, Store, StoreError, atomic};
use crate::exchange::ExchangeId;
use crate::run::RunId;
use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;
use std::time::{SystemTime, UNIX_EPOCH};

const DIRECTORY: &str = "index";
const LOCK: &str = "index.lock";
/// Begins the name of an index that was moved aside.
const BAD: &str = "index.bad-";
/// Version of the rows. 1: the first.
const FORMAT: &[u8] = b"1";
const FORMAT_KEY: &[u8] = b"format";
const CACHE: u64 = 32 << 20;

/// What a rebuilt index holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// Runs in the store.
    pub runs: usize,
    /// Rows beside those of the runs: labels, lineage, requests.
    pub rows: usize,
}

/// True for an index that was moved aside.
pub fn is_leftover(path: &Path) -> bool {
    path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(BAD))
}

impl Store {
    /// One summary a run, in no order; by the index when it can be had.
    pub(super) fn catalogued_runs(&self) -> Result<Vec<RunSummary>, StoreError> {
        self.with_rows(|_, runs| Ok(runs))
    }

    /// Runs that carry a label.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn runs_labelled(&self, name: &str, value: &str) -> Result<Vec<RunId>, StoreError> {
        let label = format!("{name}={value}");
        self.with_checked_rows(|rows| catalogue::runs_under(rows, Table::Labels, &label))
    }

    /// Runs that were forked from the run with this uuid.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn forks_of(&self, uuid: &str) -> Result<Vec<RunId>, StoreError> {
        self.with_checked_rows(|rows| catalogue::runs_under(rows, Table::Lineage, uuid))
    }

    /// Exchanges of sealed runs whose request has this key (see [`crate::run::Turn::request_key`]).
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn exchanges_asking(&self, request_key: &str) -> Result<Vec<(RunId, ExchangeId)>, StoreError> {
        self.with_checked_rows(|rows| catalogue::exchanges_asking(rows, request_key))
    }

    /// Makes the index again from the runs.
    ///
    /// # Errors
    /// [`StoreError::Refused`] while another process has it; when the store cannot be read or written.
    pub fn rebuild_index(&self) -> Result<Rebuilt, StoreError> {
        let Some(_lock) = self.lock_index()? else {
            return Err(StoreError::Refused(format!(
                "{}: another retake is using the index; try again when it has ended",
                self.root().join(DIRECTORY).display()
            )));
        };
        let path = self.root().join(DIRECTORY);
        if path.exists() {
            let remove = if path.is_dir() { fs::remove_dir_all } else { fs::remove_file };
            remove(&path).map_err(StoreError::io(&path))?;
        }
        let failed =
            |why: String| StoreError::Damaged { path: path.clone(), what: format!("the new index: {why}") };
        let mut rows = contained(|| SledRows::open(&path)).map_err(|u| failed(u.0))?;
        contained(|| {
            let runs = catalogue::catch_up(self, &mut rows);
            Ok(runs.and_then(|runs| {
                let runs = runs.map_err(|u| failed(u.0))?.len();
                let rows = catalogue::check_counts(&rows).map_err(|u| failed(u.0))?;
                Ok(Rebuilt { runs, rows })
            }))
        })
        .map_err(|u| failed(u.0))?
    }

    /// What happened to the index since the last call, in words: moved aside, made again.
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn with_checked_rows<T>(&self, ask: impl Fn(&dyn Rows) -> Result<T, Unusable>) -> Result<T, StoreError> {
        self.with_rows(|rows, _| {
            catalogue::check_counts(rows)?;
            ask(rows)
        })
    }

    /// Asks the catalogue: the index, brought up to date; a new one when it cannot be relied on; rows in memory when
    /// it cannot be had.
    fn with_rows<T>(
        &self,
        ask: impl Fn(&dyn Rows, Vec<RunSummary>) -> Result<T, Unusable>,
    ) -> Result<T, StoreError> {
        // A store that cannot be written, or a lock that cannot be had, is no reason not to answer.
        if let Ok(Some(_lock)) = self.lock_index() {
            let path = self.root().join(DIRECTORY);
            for _ in 0..2 {
                let asked = contained(|| {
                    let mut rows = SledRows::open(&path)?;
                    Ok(catalogue::catch_up(self, &mut rows)
                        .map(|runs| runs.and_then(|runs| ask(&rows, runs))))
                });
                match asked {
                    Ok(Err(error)) => return Err(error),
                    Ok(Ok(Ok(answer))) => return Ok(answer),
                    Err(why) | Ok(Ok(Err(why))) => self.move_aside(&path, &why),
                }
            }
        }
        let mut rows = MemoryRows::default();
        let answer = catalogue::catch_up(self, &mut rows)?.and_then(|runs| ask(&rows, runs));
        answer
            .map_err(|u| StoreError::Refused(format!("the catalogue of {}: {}", self.root().display(), u.0)))
    }

    fn lock_index(&self) -> Result<Option<File>, StoreError> {
        let path = self.root().join(LOCK);
        let mut options = OpenOptions::new();
        let file =
            options.create(true).append(true).mode(0o600).open(&path).map_err(StoreError::io(&path))?;
        Ok(file.try_lock().is_ok().then_some(file))
    }

    fn move_aside(&self, path: &Path, why: &Unusable) {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let mut aside = self.root().join(format!("{BAD}{seconds}"));
        let mut n = 1;
        while aside.exists() {
            n += 1;
            aside = self.root().join(format!("{BAD}{seconds}.{n}"));
        }
        let note = match fs::rename(path, &aside) {
            Ok(()) => format!(
                "the index could not be relied on ({}); it was moved to {} and made again from the runs (`retake gc` removes it)",
                why.0,
                aside.display()
            ),
            Err(error) => {
                format!("the index could not be relied on ({}) and not be moved aside: {error}", why.0)
            }
        };
        self.notes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(note);
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs something that may panic over a damaged index, and says nothing of it on the terminal.
fn contained<T>(work: impl FnOnce() -> Result<T, Unusable>) -> Result<T, Unusable> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let of_sled = std::thread::current().name().is_some_and(|name| name.starts_with("sled"));
            if !of_sled && !QUIET.try_with(Cell::get).unwrap_or_default() {
                before(info);
            }
        }));
    });
    let was = QUIET.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(was);
    done.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        let first = text.and_then(|t| t.lines().next()).unwrap_or("no reason given");
        Err(Unusable(format!("sled panicked: {first}")))
    })
}

/// Rows in sled.
struct SledRows {
    db: sled::Db,
    trees: Vec<(Table, sled::Tree)>,
}

impl SledRows {
    fn open(path: &Path) -> Result<SledRows, Unusable> {
        if !path.exists() {
            atomic::make_directory(path).map_err(|e| Unusable(e.to_string()))?;
        }
        let config = sled::Config::new()
            .path(path)
            .mode(sled::Mode::HighThroughput)
            .cache_capacity(CACHE)
            .flush_every_ms(None)
            .use_compression(false);
        let db = config.open().map_err(unusable)?;
        let trees = Table::ALL
            .into_iter()
            .map(|table| Ok((table, db.open_tree(table.name()).map_err(unusable)?)))
            .collect::<Result<_, Unusable>>()?;
        let mut rows = SledRows { db, trees };
        match rows.get(Table::Meta, FORMAT_KEY)?.as_deref() {
            Some(FORMAT) => {}
            None if !rows.db.was_recovered() => {
                rows.apply(&Batch(vec![(Table::Meta, FORMAT_KEY.to_vec(), Some(FORMAT.to_vec()))]))?;
            }
            other => {
                let text = other.map_or("none".into(), |b| String::from_utf8_lossy(b).into_owned());
                return Err(Unusable(format!("it has format {text}")));
            }
        }
        Ok(rows)
    }

    fn tree(&self, table: Table) -> Result<&sled::Tree, Unusable> {
        let found = self.trees.iter().find(|t| t.0 == table);
        found.map(|t| &t.1).ok_or_else(|| Unusable(format!("there is no table {}", table.name())))
    }
}

impl Rows for SledRows {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Unusable> {
        Ok(self.tree(table)?.get(key).map_err(unusable)?.map(|v| v.to_vec()))
    }
    fn scan(&self, table: Table, prefix: &[u8]) -> Result<Vec<Row>, Unusable> {
        let rows = self.tree(table)?.scan_prefix(prefix);
        rows.map(|row| row.map(|(k, v)| (k.to_vec(), v.to_vec())).map_err(unusable)).collect()
    }
    fn apply(&mut self, batch: &Batch) -> Result<(), Unusable> {
        for (table, key, value) in &batch.0 {
            let tree = self.tree(*table)?;
            match value {
                Some(value) => tree.insert(key.as_slice(), value.as_slice()).map_err(unusable)?,
                None => tree.remove(key.as_slice()).map_err(unusable)?,
            };
        }
        Ok(())
    }
    fn flush(&mut self) -> Result<(), Unusable> {
        self.db.flush().map(|_| ()).map_err(unusable)
    }
}

fn unusable(error: sled::Error) -> Unusable {
    Unusable(error.to_string())
}
