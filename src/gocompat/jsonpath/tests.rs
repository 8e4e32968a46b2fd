use super::*;
use serde_json::json;

#[test]
fn a_path_that_finds_ever_more_is_ended() {
    let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!({"a": inner}));
    let wide = json!({"a": vec![json!({"a": [1, 2, 3]}); 1000]});
    for (path, body) in [
        (format!("{{${}}}", "['a','a']".repeat(40)), nested(40)),
        ("{$.a[0:1000,0:1000,0:1000,0:1000]['a','a','a','a','a','a'][0:3,0:3]}".to_owned(), wide),
    ] {
        let told = JsonPath::parse(&path).and_then(|path| path.first(&body).map(Item::marshal)).unwrap_err();
        assert!(told.contains("it finds more than 100000 values on its way"), "{path}: {told}");
    }
}
