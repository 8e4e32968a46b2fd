//! One exchange of a provider with a server that answers as recorded.

use haldane::providers::{
    Defaults, MetricProvider, Question, Release, Sample, Step,
    http::{HttpRequest, HttpResponse},
};
use serde_json::Value;

/// What the provider makes of the line's `http_status` and `body`; and the request it sent, if it sent one.
pub fn exchange(
    provider: &dyn MetricProvider,
    config: &Value,
    line: &Value,
) -> (Option<HttpRequest>, Result<Sample, String>) {
    let now = crate::values::now();
    let (defaults, release) = (Defaults::default(), Release::default());
    match provider.measure(&Question { config, defaults: &defaults, now, name: "run-m-1", release }) {
        Step::Done(outcome) => (None, outcome),
        Step::Http(request, then) => {
            let status = u16::try_from(line["http_status"].as_u64().unwrap()).unwrap();
            let body = line["body"].as_str().unwrap().as_bytes().to_vec();
            match then(HttpResponse { status, body }) {
                Step::Done(outcome) => (Some(*request), outcome),
                other => panic!("a second request: {other:?}"),
            }
        }
        Step::Job(..) => panic!("no provider of these recordings makes a Job"),
    }
}
