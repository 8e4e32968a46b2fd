//! `docs/plugin.md`, written from the plugin's own definition.

use super::root;
use clap::{Arg, ArgAction, Command, CommandFactory};
use haldane::commands::canary::cli::Cli;
use std::{fmt::Write, fs};

const PAGE: &str = "docs/plugin.md";

const HEAD: &str = "# kubectl canary

The plugin shows releases in the terminal and gives orders. It has no rights of its own: it reads and writes with yours. Everything
that it does can be done with plain `kubectl` too; see [orders](reference.md#orders).

Install: `make plugin` builds `kubectl-canary`; put it on your `PATH`. `deploy/krew/package` makes a package for krew.

To read a release, a user needs `get`, `list` and `watch` on Deployments and ConfigMaps, and `list` on ReplicaSets and Pods. Orders need
`patch` on Deployments, and the order's own verb, as ClusterRole `haldane-operator` grants them; `kubectl canary doctor` says what is
missing.

```console
$ kubectl canary get web
Deployment  shop/web
Phase       Paused, step 2/3, since 12s (revision 2)
Waits for   haldane.dev/do=resume, because of step pause: {}
Weight      50 % to the canary
Stable      registry.example.com/web:1   4/4 pods ready
Canary      registry.example.com/web:2   2/2 pods ready

Steps
  ✔ 1  setWeight: 50
  ▶ 2  pause: {}
  · 3  setWeight: 80
```

In a script, `status` waits for the end of a release:

```sh
kubectl canary status web --timeout 30m   # 0: promoted, 1: aborted, 2: timeout, 3: waits for a person
```

Colours are for terminals; set `NO_COLOR` to have none.

## Dashboard

`kubectl canary dashboard` shows the releases of a namespace, or of all with `-A`, at http://localhost:3100 while it runs:

![A release that is paused at 25 %: traffic, steps, analysis with its limit, Events](images/dashboard-release.png)

The page follows watches, so it changes when the cluster does. It works with the keyboard, with a screen reader, at a phone's width, in
light and dark. Promote, abort, retry, pause and resume ask for confirmation, and show the answer of admission. An order that is not
possible now has no button.

![All releases: those that need attention come first](images/dashboard-list.png)

- **Rights**: yours, as with every command. It also lists and watches Pods and Events of the release that is open; where you may not, the page
  shows the API server's message instead. `--read-only` refuses orders.
- **Access**: the server listens on loopback addresses only. As with `kubectl proxy`, other users of the same machine can connect
  to it, so do not start it on a machine that you share. From another machine, forward the same port: `ssh -L 3100:localhost:3100 HOST`.
- **Other sites in your browser** cannot use it. The `Host` header must be localhost with the port, an order needs the page's `Origin` and a
  random token of the process, and the Content Security Policy allows only the page's own files. Nothing is loaded from elsewhere.

## Completion

kubectl completes a plugin by way of a program named `kubectl_complete-NAME`. The plugin's binary is that program too, by this name:

```sh
ln -s \"$(command -v kubectl-canary)\" /usr/local/bin/kubectl_complete-canary
```

Then kubectl's own completion knows the commands, flags and managed Deployments of `kubectl canary`. To complete the command
`kubectl-canary` as such, load a script: `source <(kubectl canary completions bash)`.

## From other tools

`kubectl canary convert` makes annotated Deployments of objects of Argo Rollouts and Flagger. The result is printed as YAML; what works in
another way, and what cannot be carried over, is listed with the field and what to do. A metric that Haldane cannot measure stays in the
result, so that admission refuses the Deployment until someone has replaced it.

```sh
kubectl canary convert -f rollouts/ > deployments.yaml   # 1: something cannot be carried over
kubectl canary lint -f deployments.yaml -f services.yaml
```

## Commands
";

/// Commands and the commands below them, each with all of its words.
fn commands(of: &Command, before: &str) -> Vec<(String, Command)> {
    let named = |command: &Command| {
        let words = format!("{before}{}", command.get_name());
        if command.has_subcommands() {
            commands(command, &format!("{words} "))
        } else {
            vec![(words, command.clone())]
        }
    };
    of.get_subcommands().flat_map(named).collect()
}

fn usage(words: &str, command: &Command) -> String {
    let named = |arg: &&Arg| arg.is_positional();
    let positional = command.get_arguments().filter(named).map(|arg| {
        let name = arg.get_id().as_str().to_uppercase();
        if arg.is_required_set() { name } else { format!("[{name}]") }
    });
    [words.to_owned()].into_iter().chain(positional).collect::<Vec<_>>().join(" ")
}

fn flags(command: &Command) -> String {
    let mut text = String::new();
    for flag in command.get_arguments().filter(|arg| !arg.is_positional()) {
        let value = match flag.get_action() {
            ArgAction::SetTrue => String::new(),
            _ => format!(" {}", flag.get_value_names().map_or(String::new(), |names| names.join(" "))),
        };
        let short = flag.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
        let allowed: Vec<String> =
            flag.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        let allowed = match flag.get_action() {
            ArgAction::SetTrue => String::new(),
            _ if allowed.is_empty() => String::new(),
            _ => format!(" One of {}.", allowed.join(", ")),
        };
        writeln!(text, "- {short}`--{}{value}`: {}{allowed}", flag.get_long().unwrap(), help(flag)).unwrap();
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn help(flag: &Arg) -> String {
    let text = flag.get_long_help().or(flag.get_help()).unwrap().to_string();
    if text.ends_with('.') { text } else { format!("{text}.") }
}

fn page() -> String {
    let command = Cli::command();
    let mut text = HEAD.to_owned();
    for (words, part) in commands(&command, "") {
        let about = part.get_about().unwrap().to_string();
        let stop = if about.ends_with('.') { "" } else { "." };
        write!(text, "\n### `kubectl canary {}`\n\n{about}{stop}\n{}", usage(&words, &part), flags(&part))
            .unwrap();
    }
    write!(text, "\n## Flags of every command\n{}", flags(&command)).unwrap();
    text
}

#[test]
fn the_page_of_the_plugin_is_fresh() {
    let path = root().join(PAGE);
    let text = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == text,
        "{PAGE} is not what the code says; run `make docs`"
    );
}
