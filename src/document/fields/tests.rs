use super::*;
use crate::document::schema::Field;
use serde_json::json;

fn problems<T>(document: &Value, reader: impl FnOnce(Node) -> Option<T>) -> Vec<String> {
    let findings = read(document, "spec", reader).err().unwrap();
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn every_getter_says_what_is_allowed() {
    let document = json!({"s": 5, "b": "yes", "i": 101, "d": "5", "n": 3, "l": {}, "m": []});
    let found = problems(&document, |root| {
        root.object(|f| {
            f.optional("s", Node::string);
            f.optional("b", Node::bool);
            f.optional("i", |n| n.integer(0..=100_u8));
            f.optional("d", Node::duration);
            f.optional("n", Node::duration);
            f.list("l", Node::string);
            f.optional("m", |n| n.map(Node::string));
            Some(())
        })
    });
    insta::assert_snapshot!(found.join("\n"), @r#"
    spec.s: "5": must be a string: put it in quotes
    spec.b: "yes": must be true or false
    spec.i: "101": must be a whole number from 0 to 100
    spec.d: "5": must be a duration such as "30s", "5m" or "1h30m", not negative and under 100 years
    spec.n: "3": must be a string: put it in quotes
    spec.l: "{}": must be a list
    spec.m: "[]": must be a mapping
    "#);
}

#[test]
fn absent_unknown_and_unsupported_fields_are_named() {
    let document = json!({"SetWeight": 1, "zzz": 1, "mirror": {}, "nothing": null});
    let found = problems(&document, |root| {
        root.object(|f| {
            f.optional("setWeight", |n| n.integer(0..=100));
            f.optional("nothing", Node::string);
            f.required("name", Node::string);
            f.unsupported("mirror", "this router cannot mirror");
            f.fail("only one of these is allowed");
            Some(())
        })
    });
    insta::assert_snapshot!(found.join("\n"), @r#"
    spec.name: is required
    spec.mirror: "{}": is not supported: this router cannot mirror
    spec: only one of these is allowed
    spec.SetWeight: unknown field, did you mean "setWeight"?
    spec.zzz: unknown field, allowed are setWeight, nothing, name, mirror
    "#);
}

#[test]
fn a_long_name_is_cut_and_not_compared() {
    let document = json!({"é".repeat(250_000): 1});
    let found = problems(&document, |root| root.object(|f| f.optional("weight", Node::string)));
    assert_eq!(found, [format!("spec.{}…: unknown field, allowed are weight", "é".repeat(32))]);
}

#[test]
fn one_bad_item_does_not_hide_the_next() {
    let document = json!(["1s", 2, "x", "4s"]);
    assert_eq!(problems(&document, |root| root.list(Node::duration)).len(), 2);
}

#[test]
fn a_reader_says_what_it_accepts() {
    let step =
        |node: Node| node.object(|step| step.doc("Its weight.").optional("weight", |n| n.integer(0..=9)));
    let schema = describe(|root| {
        root.object(|fields| {
            let name = fields.doc("Its name.").required("name", Node::string);
            fields.list("steps", step);
            fields.optional("labels", |node| node.map(Node::string));
            fields.optional("side", |node| {
                node.named("side", |node| node.word(&[("old", 0), ("new", 1)], "?"))
            });
            fields.optional("silent", |node| node.value().as_u64());
            fields.unsupported("mirror", "this router cannot mirror");
            fields.require("other");
            name
        })
    });
    let field = |key, doc, schema| Field { key, doc, schema };
    let weight = field("weight", "Its weight.", Schema::Whole(0, 9));
    let side = Schema::Named("side", Box::new(Schema::Word(vec!["old", "new"])));
    let expected = Schema::Object(vec![
        field("name", "Its name.", Schema::Text),
        field("steps", "", Schema::List(Box::new(Schema::Object(vec![weight])))),
        field("labels", "", Schema::Map(Box::new(Schema::Text))),
        field("side", "", side),
        field("silent", "", Schema::Never),
    ]);
    assert_eq!(schema, expected);
}
