use super::*;
use crate::agent::stdin::STDIN_KEPT;
use nix::sys::signal::raise;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};

/// Signals reach every agent of this process: one test at a time.
static ALONE: AsyncMutex<()> = AsyncMutex::const_new(());

async fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().await
}

fn shell(script: &str) -> Launch {
    Launch {
        command: ["sh", "-c", script].iter().map(OsString::from).collect(),
        stdin: StdinFrom::Nothing,
        keep_stdout: Some(1 << 20),
        ..Default::default()
    }
}

async fn run(launch: Launch) -> Ended {
    Agent::start_in(launch, false).unwrap().wait().await.unwrap()
}

fn output(ended: &Ended) -> String {
    String::from_utf8_lossy(ended.stdout.as_deref().unwrap()).into_owned()
}

#[tokio::test]
async fn exit_codes_and_signals_are_passed_on() {
    let _alone = alone().await;
    let ended = run(shell("exit 7")).await;
    assert_eq!((ended.exit_code, ended.signal, ended.shell_code()), (Some(7), None, 7));
    let killed = run(shell("kill -TERM $$")).await;
    assert_eq!((killed.exit_code, killed.signal, killed.shell_code()), (None, Some(15), 143));
}

#[tokio::test]
async fn environment_and_directory() {
    let _alone = alone().await;
    let room = tempfile::tempdir().unwrap();
    let directory = room.path().canonicalize().unwrap();
    let ended = run(Launch {
        directory: Some(directory.clone()),
        set: vec![("RETAKE_RUN".into(), "refund.1".into())],
        unset: vec!["PATH".into()],
        ..shell("echo $RETAKE_RUN; pwd; env | grep -c ^PATH= || true")
    })
    .await;
    assert_eq!(output(&ended).lines().take(2).collect::<Vec<_>>(), ["refund.1", directory.to_str().unwrap()]);
}

#[tokio::test]
async fn recorded_input_and_its_end() {
    let _alone = alone().await;
    let big = "line\n".repeat(100_000);
    let ended = run(Launch { stdin: StdinFrom::Bytes(Bytes::from(big.clone())), ..shell("wc -c") }).await;
    assert_eq!(output(&ended).trim(), big.len().to_string());
    assert_eq!(ended.stdin.as_deref(), Some(big.as_str()));
}

#[tokio::test]
async fn an_agent_that_never_reads_is_not_waited_for() {
    let _alone = alone().await;
    let big = Bytes::from(vec![b'x'; STDIN_KEPT * 3]);
    let ended =
        timeout(Duration::from_secs(20), run(Launch { stdin: StdinFrom::Bytes(big), ..shell("exit 3") }));
    assert_eq!(ended.await.unwrap().exit_code, Some(3));
}

#[tokio::test]
async fn an_agent_that_closes_its_input_goes_on() {
    let _alone = alone().await;
    let big = Bytes::from(vec![b'x'; STDIN_KEPT * 3]);
    let launch = Launch { stdin: StdinFrom::Bytes(big), ..shell("exec <&-; sleep 0.05; echo on") };
    assert_eq!(output(&run(launch).await), "on\n");
}

#[tokio::test]
async fn no_input_is_an_end_of_file() {
    let _alone = alone().await;
    let ended = run(shell("cat; echo end")).await;
    assert_eq!((output(&ended).as_str(), ended.stdin), ("end\n", None));
}

#[tokio::test]
async fn output_is_kept_up_to_a_bound() {
    let _alone = alone().await;
    let ended = run(Launch { keep_stdout: Some(4), ..shell("printf abcdefgh") }).await;
    assert_eq!(output(&ended), "abcd");
}

#[tokio::test]
async fn a_process_left_behind_does_not_hold_up_the_end() {
    let _alone = alone().await;
    let mut agent = Agent::start_in(shell("sleep 60 & echo started $!"), false).unwrap();
    let ended = timeout(Duration::from_secs(20), agent.wait()).await.unwrap().unwrap();
    let text = output(&ended);
    let left = text.trim().strip_prefix("started ").unwrap().parse().unwrap();
    assert!(Reach::Shared(Pid::from_raw(left)).is_alive());
    agent.end(Duration::from_secs(5)).await.unwrap();
    for _ in 0..200 {
        if !is_running(left) {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("process {left} is still there");
}

/// True for a process that is there and no zombie that waits for whoever adopted it.
fn is_running(pid: i32) -> bool {
    let state =
        std::process::Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8_lossy(&state.stdout).trim().to_string();
    !state.is_empty() && !state.starts_with('Z')
}

#[tokio::test]
async fn an_agent_that_ignores_the_request_is_killed() {
    let _alone = alone().await;
    for shared in [false, true] {
        let mut agent = Agent::start_in(shell("trap '' TERM; while :; do sleep 0.05; done"), shared).unwrap();
        sleep(Duration::from_millis(100)).await;
        assert!(timeout(Duration::from_millis(50), agent.wait()).await.is_err(), "waiting can be cancelled");
        let ended =
            timeout(Duration::from_secs(20), agent.end(Duration::from_millis(100))).await.unwrap().unwrap();
        assert_eq!(ended.signal, Some(9));
        assert_eq!(agent.wait().await.unwrap(), ended);
    }
}

#[tokio::test]
async fn an_agent_that_obeys_may_finish() {
    let _alone = alone().await;
    let mut agent =
        Agent::start_in(shell("trap 'exit 5' TERM; while :; do sleep 0.02; done"), false).unwrap();
    sleep(Duration::from_millis(200)).await;
    assert_eq!(agent.end(Duration::from_secs(10)).await.unwrap().exit_code, Some(5));
}

#[tokio::test]
async fn signals_go_to_the_whole_group() {
    let _alone = alone().await;
    let script = "trap 'echo got; exit 9' USR1; echo ready; while :; do sleep 0.02; done";
    let mut agent = Agent::start_in(shell(script), false).unwrap();
    sleep(Duration::from_millis(300)).await;
    raise(Signal::SIGUSR1).unwrap();
    let ended = timeout(Duration::from_secs(20), agent.wait()).await.unwrap().unwrap();
    assert_eq!((ended.exit_code, output(&ended).as_str()), (Some(9), "ready\ngot\n"));
}

#[tokio::test]
async fn at_a_terminal_an_interrupt_is_not_sent_twice() {
    let _alone = alone().await;
    // Not trapped: it would end the agent. A terminal sends it to the group; here only this process has it.
    let mut agent = Agent::start_in(shell("sleep 0.6; exit 4"), true).unwrap();
    sleep(Duration::from_millis(100)).await;
    raise(Signal::SIGINT).unwrap();
    assert_eq!(agent.wait().await.unwrap().exit_code, Some(4));
}

#[tokio::test]
async fn what_cannot_be_started_is_explained() {
    let _alone = alone().await;
    let start = |command: &[&str], directory: Option<&str>| {
        let command = command.iter().map(OsString::from).collect();
        let launch = Launch { command, directory: directory.map(PathBuf::from), ..Default::default() };
        Agent::start_in(launch, false).err().unwrap()
    };
    assert!(matches!(start(&[], None), StartError::Empty));
    let missing = start(&["no-such-agent", "x"], None);
    assert_eq!(missing.shell_code(), 127);
    assert!(missing.to_string().contains("cannot start no-such-agent: no such program"));
    assert_eq!(start(&["/"], None).shell_code(), 126);
    assert!(matches!(start(&["sh"], Some("/no/such/directory")), StartError::NoDirectory { .. }));
    let room = tempfile::tempdir().unwrap();
    let script = room.path().join("agent");
    std::fs::write(&script, "echo no shebang").unwrap();
    let path = script.to_str().unwrap();
    assert!(matches!(start(&[path], None), StartError::NotExecutable { .. }));
}
