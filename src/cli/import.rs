//! `retake import`

mod foreign;
pub(super) mod own;

use super::args::ImportArgs;
use super::error::{CliError, exit};
use super::{Context, warn};
use crate::report::words::many;
use serde_json::{Value, json};

pub(super) fn import(context: &Context, args: &ImportArgs) -> Result<i32, CliError> {
    let mut runs: Vec<Value> = Vec::new();
    let mut failed: Vec<CliError> = Vec::new();
    for path in &args.files {
        let imported = match args.from {
            None => own::import(context, args, path).map(|run| vec![run]),
            Some(from) => foreign::import(context, args, from.kind(), path),
        };
        match imported {
            Ok(imported) => runs.extend(imported),
            Err(error) if args.files.len() == 1 => return Err(error),
            Err(error) => {
                if !context.json {
                    error.tell();
                }
                failed.push(error);
            }
        }
    }
    if context.json {
        let value = match (args.from, runs.as_slice(), args.files.len()) {
            (None, [run], 1) => run.clone(),
            _ => {
                let errors: Vec<Value> = failed.iter().map(CliError::json).collect();
                json!({ "runs": runs, "errors": errors })
            }
        };
        context.print_json(&value)?;
    } else if !failed.is_empty() {
        let (bad, all) = (failed.len() as u64, many(args.files.len() as u64, "file"));
        warn(&format!("{bad} of {all} could not be imported"));
    }
    Ok(failed.iter().map(|error| error.code).max().unwrap_or(exit::OK))
}
