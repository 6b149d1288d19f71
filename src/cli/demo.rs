//! `retake demo`

use super::args::DemoArgs;
use super::error::{CliError, exit};
use super::{Context, print};
use crate::demo::{ModelServer, scenes, variables};
use crate::report::Ink;
use crate::report::words::fold;
use std::process::Command;
use std::time::Duration;

/// How long the scripted model thinks.
const LATENCY: Duration = Duration::from_millis(60);

pub(super) fn demo(context: &Context, args: &DemoArgs) -> Result<i32, CliError> {
    let store = context.store_or_new()?;
    let program = std::env::current_exe().map_err(|e| CliError::broken(format!("own program: {e}")))?;
    let shown = program.display().to_string();
    let taken = store.runs()?;
    let first = taken.iter().filter(|r| r.manifest.id.name() == "refund").map(|r| r.manifest.id.number());
    let first = first.max().unwrap_or_default() + 1;
    let model = ModelServer::start(LATENCY)?;
    let columns = context.style.columns();
    for paragraph in [
        "A support agent refunded $4,999.00 for an order of $49.99. Let us see why, without asking it to do so again.",
        "Everything below really runs: an agent, a scripted model on a local port, and retake between them.",
    ] {
        print(&format!("{}\n", fold(paragraph, columns).join("\n")))?;
    }
    for scene in scenes(&shown, "refund", first) {
        let line = scene.shown();
        let why = fold(&scene.why, columns - 2);
        let why: Vec<String> =
            why.iter().map(|part| context.style.paint(Ink::Dim, &format!("# {part}"))).collect();
        print(&format!(
            "\n{}\n{} {}\n",
            why.join("\n"),
            context.style.paint(Ink::Strong, "$"),
            context.style.paint(Ink::Strong, &line)
        ))?;
        let Some((command, arguments)) = scene.argv.split_first() else { continue };
        let status = Command::new(command)
            .args(arguments)
            .env("RETAKE_STORE", store.root())
            .envs(variables(&model))
            .status()
            .map_err(|e| CliError::broken(format!("{line}: {e}")))?;
        let code = status.code().unwrap_or(exit::BROKEN);
        if code != scene.expect {
            return Err(CliError::broken(format!(
                "`{line}` ended with {code}, where {} was expected",
                scene.expect
            ))
            .hint("that is a bug in retake: please report it with the output above"));
        }
        if !args.no_pause {
            std::thread::sleep(Duration::from_millis(150));
        }
    }
    print(&format!(
        "\nThe runs are yours to explore, in {}:\n  retake ls\n  retake show refund.{first} 7\n  retake diff refund.{first} refund.{}\nThen record your own agent:  retake run -- python agent.py\n",
        store.root().display(),
        first + 1
    ))?;
    Ok(exit::OK)
}
