//! The cluster: `kubectl` for what users do, the API for what is asked.

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use serde_json::Value;
use std::{
    env,
    io::Write,
    process::{Command, Stdio},
    sync::LazyLock,
};
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    rustls::crypto::ring::default_provider().install_default().expect("no TLS provider is installed yet");
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
});

static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    block_on(Client::try_default()).expect("a cluster; run this with tests/e2e/run or `cluster exec NAME --`")
});

/// Runs something asynchronous to its end.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

/// Runs something asynchronous beside the test.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    RUNTIME.spawn(future)
}

/// A setting of the run.
#[track_caller]
pub fn setting(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set; see tests/e2e/README.md"))
}

/// Objects of a kind, written `apps/v1 Deployment` or `v1 ConfigMap`.
pub fn api(kind: &str, namespace: &str) -> Api<DynamicObject> {
    let (group_version, kind) = kind.split_once(' ').expect("`group/version Kind`");
    let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    if namespace.is_empty() {
        Api::all_with(CLIENT.clone(), &resource)
    } else {
        Api::namespaced_with(CLIENT.clone(), namespace, &resource)
    }
}

/// An object, if it exists.
#[track_caller]
pub fn get(kind: &str, namespace: &str, name: &str) -> Option<Value> {
    try_get(kind, namespace, name).expect("the API server answers")
}

/// All objects of a kind.
#[track_caller]
pub fn list(kind: &str, namespace: &str, labels: &str) -> Vec<Value> {
    try_list(kind, namespace, labels).expect("the API server answers")
}

/// An object, if it exists.
///
/// # Errors
/// The API server does not answer.
pub fn try_get(kind: &str, namespace: &str, name: &str) -> Result<Option<Value>, String> {
    let found = block_on(api(kind, namespace).get_opt(name)).map_err(|error| error.to_string())?;
    Ok(found.map(|object| serde_json::to_value(object).expect("JSON")))
}

/// All objects of a kind.
///
/// # Errors
/// The API server does not answer.
pub fn try_list(kind: &str, namespace: &str, labels: &str) -> Result<Vec<Value>, String> {
    let found = block_on(api(kind, namespace).list(&ListParams::default().labels(labels)));
    let found = found.map_err(|error| error.to_string())?;
    Ok(found.items.into_iter().map(|object| serde_json::to_value(object).expect("JSON")).collect())
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line, for messages.
    pub line: String,
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Output {
    /// Fails the test unless the command succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "`{}` failed: {}{}", self.line, self.out, self.err);
        self
    }

    /// Fails the test if the command succeeded; what it said.
    #[track_caller]
    pub fn refused(self) -> String {
        assert_ne!(self.code, 0, "`{}` was to fail, but said: {}{}", self.line, self.out, self.err);
        self.err
    }
}

/// Runs a program with `input`.
#[track_caller]
pub fn run(program: &str, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    // A program that reads nothing may be gone already.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Output {
        line: format!("{program} {}", args.join(" ")),
        code: output.status.code().unwrap_or(-1),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// `kubectl`, for objects without a namespace and those of Haldane.
#[track_caller]
pub fn kubectl(args: &[&str]) -> Output {
    run("kubectl", args, "")
}
