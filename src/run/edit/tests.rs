use super::*;
use serde_json::json;

fn parsed(text: &str) -> Edit {
    Edit::parse(text).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn reads_the_grammar() {
    let e = parsed(r#"7:result.risk="high""#);
    assert_eq!(e.scope, Scope::Step(7));
    assert_eq!(e.field, Field::Result(vec![PathStep::Key("risk".into())]));
    assert_eq!(e.change, Change::Set(json!("high")));
    assert_eq!(parsed("6..:system+=In cents = 100.").change, Change::Append(json!("In cents = 100.")));
    assert_eq!(parsed("*:model=gpt-x").field, Field::Param("model".into()));
    assert_eq!(parsed("*:tools-=issue_refund").change, Change::Remove(json!("issue_refund")));
    assert_eq!(parsed("3..5:temperature=0").change, Change::Set(json!(0)));
    assert_eq!(parsed("9:fault=429").fault(), Ok(FaultKind::Status(429)));
    assert_eq!(parsed("9:fault=cut:3").fault(), Ok(FaultKind::Cut(3)));
    assert_eq!(
        parsed(r#"7:result.a["x = y"][2]=1"#).field,
        Field::Result(vec![PathStep::Key("a".into()), PathStep::Key("x = y".into()), PathStep::Index(2)])
    );
    assert_eq!(
        parsed("7:result~=/low/high/").change,
        Change::Substitute { pattern: "low".into(), replacement: "high".into() }
    );
}

#[test]
fn refuses_with_a_reason() {
    for (text, why) in [
        ("result=1", "an edit is SCOPE"),
        ("x:result=1", "is no scope"),
        ("7:result", "no operator"),
        ("7:result.=1", "cannot read the path"),
        ("7:model.x=1", "only result takes a path"),
        ("7:reslt.x=1", "reslt does not; did you mean result?"),
        ("7:fault=200", "a fault is"),
        ("7:tools=[]", "tools are taken away"),
        ("7:result~=/(/x/", "no regular expression"),
        ("7:result~=/a/", "a substitution is"),
        ("7:temperature+=1", "can only be set"),
        ("7:result.risk==high", "is written in quotes"),
        ("7:raw:a.b=1", "is no field name"),
    ] {
        let error = Edit::parse(text).expect_err(text).to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_path_edit_changes_that_place_only() {
    let text = r#"{"amount": 49.90, "big": 9007199254740993, "risk" : "low", "l":[1, {"a":2}]}"#;
    let done = parsed(r#"7:result.risk="high""#).apply(text).unwrap();
    assert_eq!(done, text.replace("\"low\"", "\"high\""));
    let done = parsed("7:result.l[1].a=30").apply(text).unwrap();
    assert_eq!(done, text.replace("{\"a\":2}", "{\"a\":30}"));
    let done = parsed(r#"7:raw:result.unit="cents""#).apply(text).unwrap();
    assert_eq!(done, text.replace("]}", r#"],"unit":"cents"}"#));
    let done = parsed("7:result.risk~=/^l/s/").apply(text).unwrap();
    assert_eq!(done, text.replace("\"low\"", "\"sow\""));
    assert_eq!(parsed("7:raw:result.a=1").apply("{}").unwrap(), r#"{"a":1}"#);
    assert_eq!(parsed("7:raw:result.l[1].b=1").apply(text).unwrap(), text.replace("2}", r#"2,"b":1}"#));
    for (edit, on) in [
        ("7:result.l[9]=1", text),
        ("7:result.no.a=1", text),
        ("7:result.x=1", "plain"),
        ("7:result~=/zz/y/", text),
    ] {
        assert!(parsed(edit).apply(on).is_err(), "{edit}");
    }
}

#[test]
fn a_path_edit_leaves_what_stands_behind_the_json() {
    let text = "{\"item\":\"widget\",\"units\":7}\n<system-reminder>{\"units\":7}</system-reminder>";
    let done = parsed("7:result.units=70").apply(text).unwrap();
    assert_eq!(done, text.replacen("7", "70", 1));
    let added = parsed("7:raw:result.late=true").apply(text).unwrap();
    assert_eq!(added, text.replacen('}', ",\"late\":true}", 1));
    assert_eq!(parsed("7:result[0]=2").apply("[1] [1]").unwrap(), "[2] [1]");
    for (text, why) in [
        ("{\"units\":7", "needs a JSON result"),
        ("[INFO] {\"units\":7}", "needs a JSON result"),
        ("found: {\"units\":7}", "needs a JSON result"),
        ("{\"item\":1} {\"units\":7}", "there is no .units"),
    ] {
        for edit in ["7:result.units=70", "7:result.units~=/7/8/"] {
            let error = parsed(edit).apply(text).expect_err(text).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}

#[test]
fn a_from_scope_covers_steps_that_were_never_recorded() {
    assert!(Scope::From(6).covers(None) && Scope::All.covers(None));
    assert!(!Scope::Step(6).covers(None) && !Scope::Range(1, 9).covers(None));
    assert!(!Scope::From(6).covers(Some(5)));
}

#[test]
fn parameters_are_known_or_raw() {
    let check = |text: &str| parsed(text).check_parameter(|name| name == "odd_but_recorded");
    for fine in
        ["*:temperature=0", "*:temperature=null", "*:model=gpt-x", "*:odd_but_recorded=1", "*:raw:bogus=1"]
    {
        assert_eq!(check(fine), Ok(()), "{fine}");
    }
    let typo = check("*:temprature=1").unwrap_err();
    assert_eq!(
        typo,
        "\"temprature\" is not in the recorded request and is no known field; did you mean temperature? \
         (raw:temprature=\u{2026} sends it anyway)"
    );
    assert!(!check("*:bogus=1").unwrap_err().contains("did you mean"));
    assert!(check("6:temperature=hot").unwrap_err().contains("temperature is a number, \"hot\" is none"));
    assert!(check("6:sytem=x").unwrap_err().contains("did you mean system?"));
    assert_eq!(parsed("*:raw:bogus=1").field, Field::Param("bogus".into()));
}

#[test]
fn a_field_that_is_not_there_is_added_only_when_that_is_said() {
    let text = r#"{"qty": 3, "sku": "LAP-1", "in": {"stock": 7}}"#;
    let why = |edit: &str| parsed(edit).apply(text).unwrap_err().why;
    assert_eq!(
        why("2:result.qtty=70"),
        format!("there is no .qtty in {text}; did you mean qty? (raw:result.qtty=… adds it)")
    );
    assert!(why("2:result.colour=1").contains("; its fields: qty, sku, in (raw:result.colour=… adds it)"));
    assert!(why("2:result.in.stok=1").contains("did you mean stock? (raw:result.in.stok=… adds it)"));
    assert!(why("2:result.inn.stock=1").ends_with("; did you mean in?"), "{}", why("2:result.inn.stock=1"));
    assert!(why("2:raw:result.no.such=1").contains("there is no .no in"));
    assert_eq!(parsed("2:raw:result=1").field, Field::Param("result".into()));
    let added = parsed("2:raw:result.qtty=70").apply(text).unwrap();
    assert_eq!(added, text.replace("}}", "},\"qtty\":70}"));
}

#[test]
fn an_item_of_an_array_is_spelt_out() {
    let why = parsed("7:result.files.0=x").apply(r#"{"files":["a"]}"#).unwrap_err().why;
    assert!(why.ends_with("; an item of an array is .files[0]"), "{why}");
    let why = parsed("7:result.dirs.x.y=1").apply(r#"{"files":["a"]}"#).unwrap_err().why;
    assert!(!why.contains("array"), "{why}");
}
