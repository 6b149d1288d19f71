//! Steps of tools at the spans that carry them out.
//!
//! A span that names its call is that call's. Where none does, the name of the tool and the time tell: it begins after the
//! answer that asks for it and ends before its result is told, and who is nearest to the call of the model goes before
//! others. What fits several calls stays open.

use super::{Growth, Is, Role, called};
use crate::run::{CallSite, Outline, StepKind};
use std::collections::HashMap;

/// Clocks are read at other times: microseconds.
const SLACK_US: u64 = 1000;

/// So many spans in the time of one call tell nothing, and ancestors farther up than this neither.
const MOST: usize = 64;

/// So often is looked again.
const ROUNDS: usize = 16;

/// A step of a tool, and where it stands.
struct Place {
    site: CallSite,
    step: Option<u32>,
    found: Option<usize>,
}

/// Calls of one tool that one answer asks for.
struct Open<'a> {
    name: &'a str,
    lane: u32,
    turn: u32,
    /// When the answer had ended, and the first of the results was told.
    time: (u64, u64),
    /// Their places.
    calls: Vec<usize>,
}

impl<'a> Growth<'a> {
    /// Puts each tool step at its span, or beside the call of the model that asked for it.
    pub(super) fn place_tools(&mut self, outline: &'a Outline) {
        let places = self.places(outline);
        self.follow_tools(outline, &places);
        for Place { site, step, found } in places {
            self.place_tool(outline, site, step, found);
        }
    }

    fn places(&self, outline: &Outline) -> Vec<Place> {
        let mut by_id: HashMap<&str, usize> = HashMap::new();
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, leaf) in self.leaves.iter().enumerate() {
            let Some(claims) = leaf.span.filter(|claims| claims.role == Role::Tool && !claims.log) else {
                continue;
            };
            // Two instrumentations tell of the same call: the outer one.
            let above = leaf.parent.and_then(|parent| self.leaves.get(parent)?.span);
            let is_told = above.is_some_and(|of| of.role == Role::Tool && called(of) == called(claims));
            if !is_told {
                by_name.entry(called(claims)).or_default().push(at);
            }
            by_id.extend(claims.call_ids.iter().map(|id| (id.as_str(), at)));
        }
        by_name.values_mut().for_each(|all| all.sort_by_key(|at| self.start(*at)));
        let numbers = outline.numbers();
        let mut taken = vec![false; self.leaves.len()];
        let mut places = Vec::new();
        let mut open: Vec<Open<'_>> = Vec::new();
        let mut calls_of: HashMap<&str, usize> = HashMap::new();
        for step in &outline.steps {
            let StepKind::Tool { site } = step.kind else { continue };
            let (Some(call), Some(turn)) = (outline.call(site), outline.turn(site.lane, site.turn)) else {
                continue;
            };
            let named = by_id.get(call.id.as_str()).copied().filter(|at| taken.get(*at) == Some(&false));
            if let Some(mark) = named.and_then(|at| taken.get_mut(at)) {
                *mark = true;
            } else {
                let name = call.name.as_str();
                *calls_of.entry(name).or_default() += 1;
                let until = call.result.as_ref().map_or(u64::MAX, |result| result.seen_us);
                let same = |of: &&mut Open<'_>| (of.name, of.lane, of.turn) == (name, site.lane, site.turn);
                match open.iter_mut().rev().take(MOST).find(same) {
                    Some(of) => {
                        of.calls.push(places.len());
                        of.time.1 = of.time.1.max(until);
                    }
                    None => open.push(Open {
                        name,
                        lane: site.lane,
                        turn: site.turn,
                        time: (turn.ended_us, until),
                        calls: vec![places.len()],
                    }),
                }
            }
            places.push(Place { site, step: numbers.get(&step.kind).copied(), found: named });
        }
        open.retain(|of| by_name.contains_key(of.name));
        self.place_open(&mut places, open, &by_name, &mut taken, &calls_of);
        places
    }

    /// Finds the spans of calls that none names: again and again, as what is taken leaves less for the others.
    fn place_open(
        &self,
        places: &mut [Place],
        mut open: Vec<Open<'_>>,
        by_name: &HashMap<&str, Vec<usize>>,
        taken: &mut [bool],
        calls_of: &HashMap<&str, usize>,
    ) {
        // Of each lane: where a tool of it stands.
        let mut homes: HashMap<u32, usize> = HashMap::new();
        for place in places.iter() {
            homes.extend(place.found.map(|at| (place.site.lane, at)));
        }
        // Where each call has a span, one that nothing else is left for is its own.
        let free = |name: &str, taken: &[bool]| {
            let all = by_name.get(name).into_iter().flatten();
            all.filter(|at| taken.get(**at) == Some(&false)).count()
        };
        let complete: HashMap<&str, bool> =
            calls_of.iter().map(|(name, calls)| (*name, free(name, taken) == *calls)).collect();
        for _ in 0..ROUNDS {
            let mut wanted: HashMap<usize, usize> = HashMap::new();
            let found: Vec<Vec<usize>> =
                open.iter().map(|of| self.may_be(of, by_name, taken, homes.get(&of.lane).copied())).collect();
            found.iter().flatten().for_each(|at| *wanted.entry(*at).or_default() += 1);
            let mut left = Vec::new();
            let before = open.len();
            for (of, spans) in open.into_iter().zip(found) {
                let still_free = spans.iter().all(|at| taken.get(*at) == Some(&false));
                let alone =
                    complete.get(of.name) == Some(&true) || spans.iter().all(|at| wanted.get(at) == Some(&1));
                if spans.len() != of.calls.len() || !still_free || !alone {
                    left.push(of);
                    continue;
                }
                for (call, at) in of.calls.iter().zip(spans) {
                    if let (Some(place), Some(mark)) = (places.get_mut(*call), taken.get_mut(at)) {
                        place.found = Some(at);
                        *mark = true;
                        homes.insert(of.lane, at);
                    }
                }
            }
            if left.is_empty() || left.len() == before {
                return;
            }
            open = left;
        }
    }

    /// The free spans in the time of some calls, in order of their beginnings: of several those that are nearest to the
    /// call of the model, or else to where a tool of the lane stands.
    fn may_be(
        &self,
        of: &Open<'_>,
        by_name: &HashMap<&str, Vec<usize>>,
        taken: &[bool],
        home: Option<usize>,
    ) -> Vec<usize> {
        let all = by_name.get(of.name).map(Vec::as_slice).unwrap_or_default();
        let (from, until) = (of.time.0.saturating_sub(SLACK_US), of.time.1.saturating_add(SLACK_US));
        let first = all.partition_point(|at| self.start(*at) < from);
        let last = all.partition_point(|at| self.start(*at) <= until);
        let within = all.get(first..last).unwrap_or_default();
        let timely = |at: &&usize| {
            taken.get(**at) == Some(&false)
                && self.leaves.get(**at).is_some_and(|leaf| leaf.time().1 <= until)
        };
        let mut found: Vec<usize> = within.iter().filter(timely).take(MOST + 1).copied().collect();
        if found.len() > MOST {
            return Vec::new();
        }
        let model = self.models.get(&(of.lane, of.turn)).copied();
        let spanned = |at: &usize| self.leaves.get(*at).is_some_and(|leaf| leaf.span.is_some());
        if let (Some(near), true) = (model.filter(spanned).or(home), found.len() > 1) {
            let above = self.path(near);
            let shared = |at: usize| self.path(at).iter().zip(&above).take_while(|(a, b)| a == b).count();
            let most = found.iter().map(|at| shared(*at)).max().unwrap_or(0);
            found.retain(|at| shared(*at) == most);
        }
        found
    }

    fn start(&self, at: usize) -> u64 {
        self.leaves.get(at).map_or(0, |leaf| leaf.time().0)
    }

    /// The ancestors of a node, from the root on.
    fn path(&self, at: usize) -> Vec<usize> {
        let parent = |at: &usize| self.leaves.get(*at).and_then(|leaf| leaf.parent);
        let mut path: Vec<usize> = std::iter::successors(parent(&at), parent).take(MOST).collect();
        path.reverse();
        path
    }

    /// Puts calls of the model that no span is about beside the tools that they ask for, else those before.
    fn follow_tools(&mut self, outline: &Outline, places: &[Place]) {
        let mut tools: HashMap<(u32, u32), usize> = HashMap::new();
        for place in places {
            if let Some(parent) = place.found.and_then(|at| self.leaves.get(at)?.parent) {
                tools.entry((place.site.lane, place.site.turn)).or_insert(parent);
            }
        }
        for (lane, of_lane) in (0u32..).zip(&outline.lanes) {
            let mut beside = None;
            for (turn, _) in (0u32..).zip(&of_lane.turns) {
                let own = tools.get(&(lane, turn)).copied();
                let leaf = self.models.get(&(lane, turn)).and_then(|at| self.leaves.get_mut(*at));
                let Some(leaf) = leaf else { continue };
                if leaf.span.is_none() && leaf.parent.is_none() {
                    leaf.parent = own.or(beside);
                }
                beside = own.or(leaf.parent);
            }
        }
    }

    fn place_tool(&mut self, outline: &'a Outline, site: CallSite, step: Option<u32>, found: Option<usize>) {
        let (Some(call), Some(turn)) = (outline.call(site), outline.turn(site.lane, site.turn)) else {
            return;
        };
        let at = found.unwrap_or_else(|| {
            let beside = self.models.get(&(site.lane, site.turn)).and_then(|at| self.leaves.get(*at)?.parent);
            self.add(beside)
        });
        if let Some(leaf) = self.leaves.get_mut(at) {
            (leaf.step, leaf.is) = (step, Some(Is::Tool(call, turn)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{
        BodyEnd, Exchange, ExchangeId, HeaderList, RecordedRequest, RecordedResponse, RequestHead,
        ResponseHead, Source, Upstream,
    };
    use crate::otlp::json::traces;
    use crate::run::lanes::outline;
    use crate::run::tree::spanned::{Spans, spanned};
    use crate::run::tree::{Node, NodeKind};
    use crate::span::claims::Claims;
    use crate::span::settled::Settled;
    use crate::span::spans;
    use serde_json::{Value, json};

    /// A call of the model from and until these milliseconds.
    fn exchange(id: u32, (from, until): (u64, u64), messages: Value, answer: Value) -> Exchange {
        let headers = HeaderList(vec![("content-type".into(), "application/json".into())]);
        let finish = if answer.get("tool_calls").is_some() { "tool_calls" } else { "stop" };
        let body = json!({"id": format!("chatcmpl-{id}"), "model": "m", "choices": [
            {"index": 0, "message": answer, "finish_reason": finish}]});
        Exchange {
            request: RecordedRequest {
                id: ExchangeId(id),
                started_us: from * 1000,
                upstream: Upstream { provider: "openai".into(), origin: "http://x".into() },
                head: RequestHead {
                    method: "POST".into(),
                    target: "/v1/chat/completions".into(),
                    headers: headers.clone(),
                },
                body: json!({"model": "m", "messages": messages}).to_string().into(),
                end: BodyEnd::Complete,
                sent: None,
                sent_target: None,
                stand_ins: vec![],
            },
            response: Some(RecordedResponse {
                source: Source::Live,
                head: Some(ResponseHead { status: 200, headers }),
                fault: None,
                head_us: 0,
                body: body.to_string().into(),
                frames: vec![],
                end: BodyEnd::Complete,
                end_us: (until - from) * 1000,
                stand_ins: vec![],
            }),
        }
    }

    /// Two agents at once, `a` and `b`, that each look once: the answers that say so end at 10 and 20 ms, what was seen is
    /// told at 30 and 35 ms.
    fn two_agents() -> Outline {
        let mut all = Vec::new();
        for (id, who, first, second) in [(1, "a", (0, 10), (30, 40)), (2, "b", (5, 20), (35, 45))] {
            let call = json!({"role": "assistant", "content": null, "tool_calls": [
                {"id": format!("call_{who}"), "type": "function", "function": {"name": "look", "arguments": "{}"}}]});
            let result = json!({"role": "tool", "tool_call_id": format!("call_{who}"), "content": who});
            let asked = json!({"role": "user", "content": who});
            all.push(exchange(id, first, json!([asked]), call.clone()));
            let said = json!({"role": "assistant", "content": "done"});
            all.push(exchange(id + 2, second, json!([asked, call, result]), said));
        }
        all.sort_by_key(|exchange| exchange.request.id);
        outline(&all)
    }

    /// The tree of both. The agents look when it is said, in milliseconds.
    fn grown(looks: &[(u64, u64)]) -> Node {
        let span = |id: u64, parent: u64, name: &str, operation: &str, from: u64, until: u64| {
            json!({"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": format!("{id:016x}"),
                "parentSpanId": if parent == 0 { String::new() } else { format!("{parent:016x}") }, "name": name,
                "startTimeUnixNano": from * 1_000_000, "endTimeUnixNano": until * 1_000_000,
                "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": operation}},
                    {"key": "gen_ai.tool.name", "value": {"stringValue": name}}]})
        };
        let mut all =
            vec![span(1, 0, "agent 1", "invoke_agent", 0, 50), span(2, 0, "agent 2", "invoke_agent", 0, 50)];
        for (at, (agent, from)) in (10..).zip(looks) {
            all.push(span(at, *agent, "look", "execute_tool", *from, from + 2));
        }
        let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": all}]}]}).to_string();
        let spans = spans(&traces(body.as_bytes()).unwrap());
        let claims: Vec<Claims> = spans.iter().map(Claims::of).collect();
        spanned(&two_agents(), "x.1", Spans { settled: &Settled::new(&claims), links: &[] }, false)
    }

    /// What stands below each agent's span in it, steps by their numbers.
    fn below(looks: &[(u64, u64)]) -> Vec<(String, Vec<u32>)> {
        let tree = grown(looks);
        fn steps(node: &Node) -> Vec<u32> {
            let mut all: Vec<u32> = node.step.into_iter().collect();
            all.extend(node.children.iter().flat_map(steps));
            all.sort_unstable();
            all
        }
        let agents = tree.children.iter().filter(|child| child.kind == NodeKind::Agent);
        agents.map(|agent| (agent.name.clone(), steps(agent))).collect()
    }

    #[test]
    fn what_is_left_when_others_are_sure_is_sure() {
        // Steps in order of time: the calls of both, what they see, what they say.
        let outline = two_agents();
        assert_eq!((outline.lanes.len(), outline.steps.len()), (2, 6));
        let found = below(&[(1, 12), (2, 22)]);
        let of = |name: &str| found.iter().find(|(own, _)| own == name).map(|(_, steps)| steps.clone());
        let (first, second) = (of("agent 1").unwrap(), of("agent 2").unwrap());
        assert_eq!((first.len(), second.len()), (3, 3), "{found:?}");
        assert!(first.contains(&1) && second.contains(&2), "{found:?}");
    }

    #[test]
    fn all_is_marked_that_no_span_tells_of() {
        fn check(node: &Node) {
            assert_eq!(node.derived, node.span.is_none() && node.kind != NodeKind::Run, "{node:?}");
            assert_eq!(node.at_most, node.derived && node.kind == NodeKind::Tool, "{node:?}");
            node.children.iter().for_each(check);
        }
        let whole = grown(&[(1, 12)]);
        check(&whole);
        fn count(node: &Node, is: &dyn Fn(&Node) -> bool) -> usize {
            usize::from(is(node)) + node.children.iter().map(|child| count(child, is)).sum::<usize>()
        }
        assert_eq!(count(&whole, &|node| node.at_most), 1, "the look of the other has no span");
        assert_eq!(count(&whole, &|node| node.derived && node.kind == NodeKind::Model), 4);
    }

    #[test]
    fn of_two_that_tell_of_one_call_it_is_the_outer() {
        // The third is below the first, whose id is 10.
        let found = below(&[(1, 12), (2, 22), (10, 13)]);
        assert_eq!(found.iter().map(|(_, steps)| steps.len()).collect::<Vec<_>>(), [3, 3], "{found:?}");
    }

    #[test]
    fn what_may_be_of_either_is_of_none() {
        for looks in [&[(1, 22)][..], &[(1, 22), (2, 23)], &[(1, 22), (2, 23), (2, 12)]] {
            let found = below(looks);
            let placed: usize = found.iter().map(|(_, steps)| steps.len()).sum();
            assert_eq!(placed, 0, "{looks:?}: {found:?}");
        }
    }
}
