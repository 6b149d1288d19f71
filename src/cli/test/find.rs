//! Which cases there are, and which of them are wanted.

use super::super::Context;
use super::super::args::TestArgs;
use super::super::error::CliError;
use crate::config::Config;
use crate::suite::case::{Case, ENDING};
use crate::suite::outcome::CaseOutcome;
use std::path::{Path, PathBuf};

/// A directory in a directory in …: links may go round.
const DEEPEST: usize = 32;

/// Where a suite is, and what is declared of it.
pub(super) struct Suite {
    pub config: Config,
    /// Where `retake.toml` is, else where retake was called.
    pub root: PathBuf,
}

impl Suite {
    pub(super) fn of(context: &Context) -> Result<Suite, CliError> {
        let (config, here) = (context.config()?, context.directory()?);
        let above = config.path.as_deref().and_then(Path::parent).map(|path| here.join(path));
        Ok(Suite { config, root: above.unwrap_or(here) })
    }

    /// Where its cases are.
    pub(super) fn directory(&self) -> PathBuf {
        self.root.join(&self.config.suite.directory)
    }
}

/// The cases that are wanted, in order of their names, and how many others there are.
pub(super) fn find(args: &TestArgs, suite: &Suite) -> Result<(Vec<Case>, usize), CliError> {
    let usual = suite.directory();
    let given: Vec<PathBuf> = match args.paths.is_empty() {
        true => vec![usual.clone()],
        false => args.paths.clone(),
    };
    let mut all = Vec::new();
    for path in &given {
        if path.is_dir() {
            all.extend(files(path, &|path| path.extension().is_some_and(|ending| ending == ENDING))?);
        } else if path.is_file() {
            all.push(path.clone());
        } else if args.paths.is_empty() {
            return Err(CliError::broken(format!("there is no test: no directory {}", path.display()))
                .hint("retake test add RUN makes a recorded run one"));
        } else {
            return Err(CliError::broken(format!("no such test: {}", path.display())));
        }
    }
    let mut cases: Vec<Case> = all
        .into_iter()
        .map(|file| Case::named(&usual, &std::path::absolute(&file).unwrap_or(file)))
        .collect();
    cases.sort_by(|a, b| (&a.name, &a.file).cmp(&(&b.name, &b.file)));
    cases.dedup_by(|a, b| a.file == b.file);
    let found = cases.len();
    if let Some(pattern) = &args.pattern {
        cases.retain(|case| case.name.contains(pattern.as_str()));
    }
    let left_out = found - cases.len();
    if found > 0 && cases.is_empty() {
        let what = format!(
            "no case has {:?} in its name; there are {found}",
            args.pattern.as_deref().unwrap_or_default()
        );
        return Err(CliError::broken(what));
    }
    if let Some(shard) = args.shard {
        let mut place = 0..;
        cases.retain(|_| place.next().is_some_and(|place| shard.has(place)));
    }
    Ok((cases, left_out))
}

/// What an author says of cases that are not there: nobody would miss the checks in it.
pub(super) fn left_alone(suite: &Suite) -> Result<Vec<CaseOutcome>, CliError> {
    let directory = suite.directory();
    let all = files(&directory, &|path| path.extension().is_some_and(|ending| ending == "toml"))?;
    let alone = all.into_iter().filter(|path| {
        path.file_name().is_some_and(|name| name != crate::config::NAME)
            && !path.with_extension(ENDING).is_file()
    });
    let outcome = |path: PathBuf| {
        let case = Case::named(&directory, &path);
        let file = path.strip_prefix(&suite.root).unwrap_or(&path).display().to_string();
        let why = format!("{file} is about a case that is not there: {}.{ENDING}", case.name);
        CaseOutcome::broken(&case.name, &file, why)
    };
    Ok(alone.map(outcome).collect())
}

/// The files below a directory that are wanted; none when there is no directory.
pub(super) fn files(directory: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>, CliError> {
    let mut files = Vec::new();
    if directory.is_dir() {
        walk(directory, wanted, &mut files, 0)?;
    }
    Ok(files)
}

fn walk(
    directory: &Path,
    wanted: &dyn Fn(&Path) -> bool,
    files: &mut Vec<PathBuf>,
    depth: usize,
) -> Result<(), CliError> {
    let failed = |e: std::io::Error| CliError::broken(format!("{}: {e}", directory.display()));
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden && depth < DEEPEST {
            walk(&path, wanted, files, depth + 1)?;
        } else if wanted(&path) && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}
