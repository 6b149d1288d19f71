//! What is derived from the runs of a store, as small rows: for `ls`, for searches and for lineage.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | runs | run | [`RunRow`]: its summary, and what its manifest looked like when the row was made |
//! | labels | `k=v`, 0, run | nothing |
//! | lineage | uuid of the parent, 0, run | nothing |
//! | requests | request key, exchange (4 bytes), run | nothing |
//!
//! The rows of a run are made when it is sealed and first looked at. The files stay the truth: a row is used only
//! while the manifest is the one that it was made from, and a run without a row is read and gets one.

use super::run_dir::MANIFEST;
use super::{RunSummary, Store, StoreError, coding};
use crate::exchange::ExchangeId;
use crate::run::{Outline, RunId, RunState};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::MetadataExt;

/// No value is longer: sled's cache does not count long ones.
const LONGEST: usize = 4000;

/// Which rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// About the catalogue itself.
    Meta,
    /// One row a run.
    Runs,
    /// One row a label of a run.
    Labels,
    /// One row a fork.
    Lineage,
    /// One row a request of a model call.
    Requests,
}

impl Table {
    /// All tables.
    pub const ALL: [Table; 5] = [Table::Meta, Table::Runs, Table::Labels, Table::Lineage, Table::Requests];

    /// Tables whose rows hang on a run's row.
    const DEPENDENT: [Table; 3] = [Table::Labels, Table::Lineage, Table::Requests];

    /// Name of the table on disk.
    pub fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Runs => "runs",
            Table::Labels => "labels",
            Table::Lineage => "lineage",
            Table::Requests => "requests",
        }
    }
}

/// The rows are not what they should be. They are made again then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable(pub String);

/// Changes that belong together.
#[derive(Debug, Default, Clone)]
pub struct Batch(
    /// Table, key, and value; none removes the row.
    pub Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
);

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Where rows are kept.
pub trait Rows {
    /// The value of a key.
    ///
    /// # Errors
    /// When the rows cannot be relied on.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Unusable>;
    /// All rows whose key begins with `prefix`, by key.
    ///
    /// # Errors
    /// When the rows cannot be relied on.
    fn scan(&self, table: Table, prefix: &[u8]) -> Result<Vec<Row>, Unusable>;
    /// Makes changes, in order.
    ///
    /// # Errors
    /// When the rows cannot be relied on.
    fn apply(&mut self, batch: &Batch) -> Result<(), Unusable>;
    /// Makes the changes last.
    ///
    /// # Errors
    /// When the rows cannot be relied on.
    fn flush(&mut self) -> Result<(), Unusable>;
}

/// Rows in memory: for a store whose index cannot be had.
#[derive(Debug, Default)]
pub struct MemoryRows(BTreeMap<(Table, Vec<u8>), Vec<u8>>);

impl Rows for MemoryRows {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Unusable> {
        Ok(self.0.get(&(table, key.to_vec())).cloned())
    }
    fn scan(&self, table: Table, prefix: &[u8]) -> Result<Vec<Row>, Unusable> {
        let from = self.0.range((table, prefix.to_vec())..);
        let fitting = from.take_while(|((t, key), _)| *t == table && key.starts_with(prefix));
        Ok(fitting.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }
    fn apply(&mut self, batch: &Batch) -> Result<(), Unusable> {
        for (table, key, value) in &batch.0 {
            match value {
                Some(value) => self.0.insert((*table, key.clone()), value.clone()),
                None => self.0.remove(&(*table, key.clone())),
            };
        }
        Ok(())
    }
    fn flush(&mut self) -> Result<(), Unusable> {
        Ok(())
    }
}

/// What a manifest's file looked like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    changed_ns: i128,
    len: u64,
    inode: u64,
}

/// The row of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct RunRow {
    stamp: Stamp,
    /// Rows of this run in other tables.
    rows: u32,
    /// None when it is too long for a row.
    summary: Option<RunSummary>,
}

impl RunRow {
    fn encode(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut out = vec![0; 4];
        let coding = coding::squeeze_alone(&json, &mut out);
        out.push(coding);
        let crc = crc32fast::hash(out.get(4..).unwrap_or_default());
        out.splice(..4, crc.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<RunRow> {
        let (crc, rest) = bytes.split_at_checked(4)?;
        if crc32fast::hash(rest).to_le_bytes() != crc {
            return None;
        }
        let (&coding, packed) = rest.split_last()?;
        let json = coding::Expander::default().expand(coding, packed).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

/// Brings the rows up to date and gives one summary a run, in no order.
///
/// # Errors
/// The outer one when the store cannot be read, the inner one when the rows cannot be relied on.
pub fn catch_up(store: &Store, rows: &mut dyn Rows) -> Result<Result<Vec<RunSummary>, Unusable>, StoreError> {
    let ids = store.run_ids()?;
    Ok(catch_up_with(store, rows, &ids))
}

fn catch_up_with(store: &Store, rows: &mut dyn Rows, ids: &[RunId]) -> Result<Vec<RunSummary>, Unusable> {
    let mut found = Vec::with_capacity(ids.len());
    let mut changed = false;
    for id in ids {
        let stamp = stamp(store, id);
        let row = rows.get(Table::Runs, id.as_str().as_bytes())?;
        let known = match row.as_deref().map(RunRow::decode) {
            Some(None) => return Err(Unusable(format!("the row of {id} is damaged"))),
            Some(Some(row)) => Some(row),
            None => None,
        };
        match known {
            Some(row) if Some(row.stamp) == stamp => {
                found.extend(row.summary.or_else(|| store.summary(id)));
                continue;
            }
            Some(_) => forget(rows, id)?,
            None => {}
        }
        let Some(summary) = store.summary(id) else { continue };
        if let Some(stamp) = stamp.filter(|_| is_settled(&summary)) {
            remember(store, rows, id, stamp, &summary)?;
            changed = true;
        }
        found.push(summary);
    }
    let there: HashSet<&str> = ids.iter().map(RunId::as_str).collect();
    for (key, _) in rows.scan(Table::Runs, b"")? {
        let text = String::from_utf8_lossy(&key);
        if !there.contains(text.as_ref()) {
            let id = RunId::parse(&text).map_err(|e| Unusable(e.to_string()))?;
            forget(rows, &id)?;
            changed = true;
        }
    }
    if changed {
        rows.flush()?;
    }
    Ok(found)
}

/// True when a run's files will not change any more, but for a rewritten manifest.
fn is_settled(summary: &RunSummary) -> bool {
    matches!(summary.state, RunState::Complete | RunState::Incomplete) && !summary.manifest.uuid.is_empty()
}

fn stamp(store: &Store, id: &RunId) -> Option<Stamp> {
    let meta = std::fs::metadata(store.run_directory(id).join(MANIFEST)).ok()?;
    let changed_ns = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
    Some(Stamp { changed_ns, len: meta.len(), inode: meta.ino() })
}

fn remember(
    store: &Store,
    rows: &mut dyn Rows,
    id: &RunId,
    stamp: Stamp,
    summary: &RunSummary,
) -> Result<(), Unusable> {
    let mut batch = Batch::default();
    for (name, value) in &summary.manifest.labels {
        batch.0.push((Table::Labels, key(format!("{name}={value}").as_bytes(), id), Some(Vec::new())));
    }
    if let Some(parent) = &summary.manifest.parent {
        batch.0.push((Table::Lineage, key(parent.uuid.as_bytes(), id), Some(Vec::new())));
    }
    let outline = store.open_run(id).ok().and_then(|run| run.sealed_outline().ok().flatten());
    for (request, exchange) in outline.iter().flat_map(requests) {
        batch.0.push((Table::Requests, request_row(&request, exchange, id), Some(Vec::new())));
    }
    batch.0.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    batch.0.dedup_by(|a, b| (a.0, &a.1) == (b.0, &b.1));
    let mut row = RunRow { stamp, rows: batch.0.len() as u32, summary: Some(summary.clone()) };
    let mut value = row.encode();
    if value.len() > LONGEST {
        row.summary = None;
        value = row.encode();
    }
    // Last, so that a row that is there has all that hangs on it.
    batch.0.push((Table::Runs, id.as_str().as_bytes().to_vec(), Some(value)));
    rows.apply(&batch)
}

fn forget(rows: &mut dyn Rows, id: &RunId) -> Result<(), Unusable> {
    let mut batch = Batch(vec![(Table::Runs, id.as_str().as_bytes().to_vec(), None)]);
    for table in Table::DEPENDENT {
        for (key, _) in rows.scan(table, b"")? {
            if run_of(table, &key).is_some_and(|run| run == id.as_str().as_bytes()) {
                batch.0.push((table, key, None));
            }
        }
    }
    rows.apply(&batch)
}

/// Counts the rows that hang on runs: an index that lost some of them says nothing by itself.
///
/// # Errors
/// When there are more or fewer than there should be.
pub fn check_counts(rows: &dyn Rows) -> Result<usize, Unusable> {
    let mut expected = 0;
    for (key, value) in rows.scan(Table::Runs, b"")? {
        let row = RunRow::decode(&value);
        let row =
            row.ok_or_else(|| Unusable(format!("the row of {} is damaged", String::from_utf8_lossy(&key))))?;
        expected += row.rows as usize;
    }
    let mut there = 0;
    for table in Table::DEPENDENT {
        there += rows.scan(table, b"")?.len();
    }
    if there == expected {
        Ok(there)
    } else {
        Err(Unusable(format!("it has {there} rows instead of {expected}")))
    }
}

/// The request keys of all attempts of all model calls.
fn requests(outline: &Outline) -> impl Iterator<Item = (String, ExchangeId)> + '_ {
    let turns = outline.lanes.iter().flat_map(|lane| &lane.turns);
    turns.flat_map(|turn| turn.attempts.iter().map(|&x| (crate::run::likeness::hex(&turn.request_key), x)))
}

fn key(first: &[u8], id: &RunId) -> Vec<u8> {
    [first, &[0], id.as_str().as_bytes()].concat()
}

fn request_row(request: &str, exchange: ExchangeId, id: &RunId) -> Vec<u8> {
    [request.as_bytes(), &[0], &exchange.0.to_be_bytes(), id.as_str().as_bytes()].concat()
}

/// The run that a row hangs on.
fn run_of(table: Table, key: &[u8]) -> Option<&[u8]> {
    match table {
        Table::Requests => {
            let at = key.iter().position(|&b| b == 0)?;
            key.get(at + 5..)
        }
        _ => key.rsplit(|&b| b == 0).next(),
    }
}

/// Runs that have a row whose key begins with this, in the given table.
///
/// # Errors
/// When the rows cannot be relied on.
pub fn runs_under(rows: &dyn Rows, table: Table, first: &str) -> Result<Vec<RunId>, Unusable> {
    let prefix = [first.as_bytes(), &[0]].concat();
    let found = rows.scan(table, &prefix)?;
    let run = |key: &[u8]| RunId::parse(std::str::from_utf8(run_of(table, key)?).ok()?).ok();
    Ok(found.iter().filter_map(|(key, _)| run(key)).collect())
}

/// Exchanges whose request has this key.
///
/// # Errors
/// When the rows cannot be relied on.
pub fn exchanges_asking(rows: &dyn Rows, request: &str) -> Result<Vec<(RunId, ExchangeId)>, Unusable> {
    let prefix = [request.as_bytes(), &[0]].concat();
    let read = |key: &[u8]| {
        let (number, run) = key.get(prefix.len()..)?.split_first_chunk::<4>()?;
        Some((RunId::parse(std::str::from_utf8(run).ok()?).ok()?, ExchangeId(u32::from_be_bytes(*number))))
    };
    Ok(rows.scan(Table::Requests, &prefix)?.iter().filter_map(|(key, _)| read(key)).collect())
}
