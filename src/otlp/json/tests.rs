use super::*;

fn first(text: &str) -> Span {
    let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{text}]}}]}}]}}"#);
    traces(body.as_bytes()).unwrap().resource_spans.remove(0).scope_spans.remove(0).spans.remove(0)
}

#[test]
fn what_exporters_write_is_read() {
    let read = first(
        r#"{"traceId":"0AF7651916CD43DD8448EB211C80319C","spanId":"b7ad6b7169203331","name":"chat","kind":3,
            "startTimeUnixNano":"1795227917938185289","endTimeUnixNano":1795227917938185290,"later":{"a":[1]},
            "attributes":[{"key":"n","value":{"intValue":32254}},{"key":"m","value":{"intValue":"-5"}},
                {"key":"none","value":{}},{"key":"nothing"},{"key":"nan","value":{"doubleValue":"NaN"}},
                {"key":"b","value":{"bytesValue":"AAE="}},{"key":"f","value":{"intValue":7.0}}],
            "status":{},"flags":769}"#,
    );
    assert_eq!(hex_of(&read.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(
        (read.start_time_unix_nano, read.end_time_unix_nano),
        (1795227917938185289, 1795227917938185290)
    );
    let value = |at: usize| read.attributes[at].value.clone().and_then(|any| any.value);
    assert_eq!(value(0), Some(Value::Int(32254)));
    assert_eq!(value(1), Some(Value::Int(-5)));
    assert_eq!((value(2), value(3)), (None, None));
    assert!(matches!(value(4), Some(Value::Double(nan)) if nan.is_nan()));
    assert_eq!(value(5), Some(Value::Bytes(vec![0, 1])));
    assert_eq!(value(6), Some(Value::Int(7)));
    assert_eq!((read.status, read.flags), (Some(Status::default()), 769));
}

#[test]
fn what_is_wrong_is_named() {
    for (body, what) in [
        ("[]", "object"),
        ("{", "JSON"),
        (r#"{"resourceSpans":{}}"#, "resourceSpans"),
        (r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xy"}]}]}]}"#, "traceId"),
        (r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":-9999999999}]}]}]}"#, "kind"),
        (r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":-1}]}]}]}"#, "startTime"),
    ] {
        let error = traces(body.as_bytes()).unwrap_err();
        assert!(error.contains(what), "{body}: {error}");
    }
    let nested = |levels: usize| {
        let (open, close) = (r#"{"arrayValue":{"values":["#.repeat(levels), "]}}".repeat(levels));
        let body =
            format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{open}{close}}}]}}]}}]}}"#);
        logs(body.as_bytes())
    };
    assert!(nested(20).is_ok());
    assert!(nested(20_000).unwrap_err().contains("recursion"));
}

#[test]
fn what_is_written_is_read_again() {
    let all = first(
        r#"{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","parentSpanId":"b7ad6b7169203332",
            "traceState":"a=b","name":"x","kind":1,"startTimeUnixNano":"1","endTimeUnixNano":"2","droppedLinksCount":4,
            "attributes":[{"key":"l","value":{"arrayValue":{"values":[{"stringValue":"0"},{},{"boolValue":false}]}}},
                {"key":"m","value":{"kvlistValue":{"values":[{"key":"d","value":{"doubleValue":-0.5}}]}}},
                {"key":"i","value":{"doubleValue":"-Infinity"}},{"key":"z","value":{"intValue":0}}],
            "events":[{"timeUnixNano":"3","name":"e"}],"links":[{"traceId":"00","spanId":"01","flags":1}],
            "status":{"code":2,"message":"no"}}"#,
    );
    let scope_spans = vec![ScopeSpans { spans: vec![all], ..Default::default() }];
    let whole = Traces { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] };
    assert_eq!(traces(of_traces(&whole).to_string().as_bytes()).unwrap(), whole);
}
