use super::*;
use serde_json::json;

#[test]
fn a_path_that_visits_too_many_values_is_an_error() {
    let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!({"a": inner}));
    let wide = json!({"a": vec![json!({"a": [1, 2, 3]}); 1000]});
    for (path, body) in [
        (format!("{{${}}}", "['a','a']".repeat(40)), nested(40)),
        ("{$.a[0:1000,0:1000,0:1000,0:1000]['a','a','a','a','a','a'][0:3,0:3]}".to_owned(), wide),
    ] {
        let problem =
            JsonPath::parse(&path).and_then(|path| path.first(&body).map(Item::marshal)).unwrap_err();
        assert!(problem.contains("it visits more than 100000 values"), "{path}: {problem}");
    }
}
