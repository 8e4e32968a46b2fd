//! `docs/plugin.md`, written from the plugin's own definition.

use super::root;
use clap::{Arg, ArgAction, Command, CommandFactory};
use haldane::commands::canary::cli::Cli;
use std::{fmt::Write, fs};

const PAGE: &str = "docs/plugin.md";

const HEAD: &str = "# kubectl canary

The plugin shows releases in the terminal and gives orders. It has no rights of its own: it reads and annotates with yours. Everything
that it does can be done with plain `kubectl` too; see [orders](reference.md#orders).

Install: `make plugin` builds `kubectl-canary`; put it on your `PATH`.

To read a release, a user needs `get`, `list` and `watch` on Deployments and ConfigMaps, and `list` on ReplicaSets and Pods. Orders need
`patch` on Deployments, and the order's own verb, as ClusterRole `haldane-operator` grants them.

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

## Commands
";

fn usage(command: &Command) -> String {
    let named = |arg: &&Arg| arg.is_positional();
    let positional = command.get_arguments().filter(named).map(|arg| {
        let name = arg.get_id().as_str().to_uppercase();
        if arg.is_required_set() { name } else { format!("[{name}]") }
    });
    [command.get_name().to_owned()].into_iter().chain(positional).collect::<Vec<_>>().join(" ")
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
    for part in command.get_subcommands() {
        let about = part.get_about().unwrap().to_string();
        let stop = if about.ends_with('.') { "" } else { "." };
        write!(text, "\n### `kubectl canary {}`\n\n{about}{stop}\n{}", usage(part), flags(part)).unwrap();
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
