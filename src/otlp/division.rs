//! When what is exported was, and exports taken apart.

use super::Batch;
use super::proto::{LogRecord, Logs, ResourceLogs, ResourceSpans, ScopeLogs, ScopeSpans, Span, Traces};

/// When a span or a log record was, and of which trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// None: it says no trace.
    pub trace: Option<[u8; 16]>,
    /// Microseconds since the Unix epoch; 0: not known.
    pub start_us: u64,
    /// The same of its end; of a log record that of its start.
    pub end_us: u64,
}

impl Batch {
    /// The moments of all that it has, in its order.
    pub fn moments(&self) -> Vec<Moment> {
        match self {
            Batch::Traces(all) => {
                let scopes = all.resource_spans.iter().flat_map(|of| &of.scope_spans);
                scopes.flat_map(|of| &of.spans).map(of_span).collect()
            }
            Batch::Logs(all) => {
                let scopes = all.resource_logs.iter().flat_map(|of| &of.scope_logs);
                scopes.flat_map(|of| &of.log_records).map(of_record).collect()
            }
            Batch::Metrics => Vec::new(),
        }
    }

    /// Takes it apart: `places` says of each that it has, in the order of [`Batch::moments`], which part it goes to. In
    /// each part what it has keeps its order, its scope and its resource.
    pub fn divide<P: Copy + PartialEq>(self, places: &[P]) -> Vec<(P, Batch)> {
        let mut kinds: Vec<P> = Vec::new();
        for place in places {
            if !kinds.contains(place) {
                kinds.push(*place);
            }
        }
        match kinds.as_slice() {
            [] => Vec::new(),
            [all] => vec![(*all, self)],
            several => several.iter().map(|place| (*place, self.part(places, *place))).collect(),
        }
    }

    fn part<P: PartialEq>(&self, places: &[P], wanted: P) -> Batch {
        let mut places = places.iter();
        let mut mine = || places.next().is_some_and(|place| *place == wanted);
        match self {
            Batch::Traces(all) => {
                let resources = all.resource_spans.iter().map(|of| ResourceSpans {
                    resource: of.resource.clone(),
                    schema_url: of.schema_url.clone(),
                    scope_spans: kept(
                        of.scope_spans.iter().map(|of| ScopeSpans {
                            scope: of.scope.clone(),
                            schema_url: of.schema_url.clone(),
                            spans: of.spans.iter().filter(|_| mine()).cloned().collect(),
                        }),
                        |of| !of.spans.is_empty(),
                    ),
                });
                Batch::Traces(Traces { resource_spans: kept(resources, |of| !of.scope_spans.is_empty()) })
            }
            Batch::Logs(all) => {
                let resources = all.resource_logs.iter().map(|of| ResourceLogs {
                    resource: of.resource.clone(),
                    schema_url: of.schema_url.clone(),
                    scope_logs: kept(
                        of.scope_logs.iter().map(|of| ScopeLogs {
                            scope: of.scope.clone(),
                            schema_url: of.schema_url.clone(),
                            log_records: of.log_records.iter().filter(|_| mine()).cloned().collect(),
                        }),
                        |of| !of.log_records.is_empty(),
                    ),
                });
                Batch::Logs(Logs { resource_logs: kept(resources, |of| !of.scope_logs.is_empty()) })
            }
            Batch::Metrics => Batch::Metrics,
        }
    }
}

fn kept<T>(of: impl Iterator<Item = T>, holds: impl Fn(&T) -> bool) -> Vec<T> {
    of.filter(holds).collect()
}

fn of_span(of: &Span) -> Moment {
    let (start_us, end_us) = (of.start_time_unix_nano / 1000, of.end_time_unix_nano / 1000);
    Moment { trace: trace(&of.trace_id), start_us, end_us: end_us.max(start_us) }
}

fn of_record(of: &LogRecord) -> Moment {
    let ns = if of.time_unix_nano == 0 { of.observed_time_unix_nano } else { of.time_unix_nano };
    Moment { trace: trace(&of.trace_id), start_us: ns / 1000, end_us: ns / 1000 }
}

fn trace(id: &[u8]) -> Option<[u8; 16]> {
    id.try_into().ok().filter(|id| *id != [0; 16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::proto::{Resource, Scope};

    #[test]
    fn parts_keep_what_is_around_and_lose_nothing() {
        let span = |n: u8| Span {
            trace_id: vec![n; 16],
            name: n.to_string(),
            start_time_unix_nano: u64::from(n) * 1000,
            ..Span::default()
        };
        let scope = |name: &str, spans: Vec<Span>| ScopeSpans {
            scope: Some(Scope { name: name.into(), ..Scope::default() }),
            spans,
            schema_url: "s".into(),
        };
        let batch = Batch::Traces(Traces {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource::default()),
                scope_spans: vec![scope("a", vec![span(1), span(2)]), scope("b", vec![span(3)])],
                schema_url: "r".into(),
            }],
        });
        let moments = batch.moments();
        assert_eq!(moments.iter().map(|of| of.start_us).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(moments[0].trace, Some([1; 16]));
        assert_eq!(batch.clone().divide(&[7, 7, 7]), [(7, batch.clone())]);
        let parts = batch.clone().divide(&[7, 8, 7]);
        let names = |batch: &Batch| {
            let Batch::Traces(all) = batch else { panic!("{batch:?}") };
            let scope = |of: &ScopeSpans| {
                (of.scope.clone().unwrap_or_default().name, of.spans.iter().map(|s| s.name.clone()).collect())
            };
            let resource =
                |of: &ResourceSpans| (of.schema_url.clone(), of.scope_spans.iter().map(scope).collect());
            all.resource_spans.iter().map(resource).collect::<Vec<(String, Vec<(String, Vec<String>)>)>>()
        };
        let told = |scopes: &[(&str, &str)]| {
            let scopes =
                scopes.iter().map(|(scope, span)| (scope.to_string(), vec![span.to_string()])).collect();
            vec![("r".to_string(), scopes)]
        };
        assert_eq!((parts[0].0, names(&parts[0].1)), (7, told(&[("a", "1"), ("b", "3")])));
        assert_eq!((parts[1].0, names(&parts[1].1)), (8, told(&[("a", "2")])));
        assert_eq!(Batch::Metrics.divide(&[0; 0]), []);
    }

    #[test]
    fn a_record_without_a_time_of_its_own_has_that_of_its_collection() {
        let of = of_record(&LogRecord { observed_time_unix_nano: 5000, ..LogRecord::default() });
        assert_eq!(of, Moment { trace: None, start_us: 5, end_us: 5 });
    }
}
