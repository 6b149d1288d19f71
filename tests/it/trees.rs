//! `retake show --tree`: the trees of the agents in `examples/`, by their spans, and without them.

use crate::examples::{Model, command};
use crate::support::env::TestEnv;
use serde_json::Value;

/// A tree in one line: `kind name(children)`. What stands side by side at the same time goes by its name.
fn drawn(node: &Value) -> String {
    let mut below: Vec<String> = node["children"].as_array().into_iter().flatten().map(drawn).collect();
    if node["name"] == "research" {
        below.sort();
    }
    let below = if below.is_empty() { String::new() } else { format!("({})", below.join(" ")) };
    let kind = node["kind"].as_str().expect("a kind");
    format!("{kind} {}{below}", node["name"].as_str().expect("a name"))
}

fn all<'t>(node: &'t Value, found: &mut Vec<&'t Value>) {
    found.push(node);
    node["children"].as_array().into_iter().flatten().for_each(|child| all(child, found));
}

/// The recorded tree of an example.
fn tree_of(script: &str, without_spans: bool) -> Value {
    let model = Model::start(&[]);
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    let mut words = command(&["run", "--name", "x"], script, &[]);
    if without_spans {
        // As an agent that has no instrumentation.
        let at = words.iter().position(|word| word == "--").expect("a command") + 1;
        words.splice(at..at, ["env", "-u", "OTEL_EXPORTER_OTLP_ENDPOINT"].map(String::from));
    }
    env.retake(words).expect(0);
    let tree = env.retake(["show", "x", "--tree", "--json"]).expect(0).json();
    let mut nodes = Vec::new();
    all(&tree, &mut nodes);
    let has_span = |node: &&&Value| node.get("span").is_some();
    let spans = nodes.iter().filter(has_span).count();
    assert_eq!(spans == 0, without_spans, "{tree}");
    let steps = nodes.iter().filter(|node| node.get("step").is_some()).count();
    let shown = env.retake(["show", "x", "--json"]).expect(0).json();
    assert_eq!(Some(steps), shown["steps"].as_array().map(Vec::len), "every step once");
    tree
}

#[test]
fn iterations_stand_under_the_agent_loop() {
    let turns = "turn 1(model small tool get_stock tool get_stock) KIND turn 2(model small tool get_price) KIND \
                 turn 3(model small tool order) KIND turn 4(model small)";
    let spanned = drawn(&tree_of("agent_loop.py", false));
    assert_eq!(spanned, format!("run x.1(agent clerk(other {}))", turns.replace("KIND", "other")));
    let derived = drawn(&tree_of("agent_loop.py", true));
    assert_eq!(derived, format!("run x.1(agent main(turn {}))", turns.replace("KIND", "turn")));
}

#[test]
fn recursion_has_its_depth() {
    let small = "(model small model small)";
    let deeper = format!("other think 2 + 3{small} other think 2 + 3{small}");
    let other = format!("other think 4{small} other think 9 - 7{small}");
    assert_eq!(
        drawn(&tree_of("recursive_thought.py", false)),
        format!(
            "run x.1(agent thinker(model small other think (2 + 3) * (2 + 3)(model small {deeper} model small) \
             other think 4 * (9 - 7)(model small {other} model small) model small))"
        )
    );
}

#[test]
fn every_step_of_a_workflow_names_its_model() {
    let models = "model classifier model expert model guard";
    assert_eq!(drawn(&tree_of("workflow.py", false)), format!("run x.1(workflow support({models}))"));
    assert_eq!(drawn(&tree_of("workflow.py", true)), format!("run x.1({models})"));
}

#[test]
fn the_branch_that_held_the_rest_up_is_named() {
    let tree = tree_of("parallel_research.py", false);
    let branch = |topic: &str| format!("agent researcher of {topic}(model small model small)");
    let mut branches = ["tides", "moon", "tides", "harbours"].map(branch);
    branches.sort();
    assert_eq!(drawn(&tree), format!("run x.1(workflow research({} model small))", branches.join(" ")));
    let research = tree["children"][0]["children"].as_array().expect("branches");
    let (agents, join): (Vec<&Value>, Vec<&Value>) =
        research.iter().partition(|node| node["kind"] == "agent");
    let critical: Vec<&&Value> = agents.iter().filter(|node| node["critical"] == true).collect();
    let last = agents.iter().max_by_key(|node| node["end_us"].as_u64()).expect("branches");
    assert_eq!(critical, [last], "the join waited for the branch that ended last");
    assert_eq!((join.len(), &join[0]["critical"]), (1, &Value::Bool(true)));
}
