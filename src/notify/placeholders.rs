//! Placeholders of a destination's message.

use super::{formats::Format, notice::Notice};

/// A placeholder: its name, what it stands for, and its value.
type Placeholder = (&'static str, &'static str, fn(&Notice) -> String);

/// All placeholders.
pub const PLACEHOLDERS: [Placeholder; 13] = [
    ("namespace", "Namespace of the Deployment.", |notice| notice.namespace.clone()),
    ("deployment", "Name of the Deployment.", |notice| notice.deployment.clone()),
    ("event", "Reason of the Event.", |notice| notice.event.to_owned()),
    ("occasion", "Group of the Event; empty if it is in none.", |notice| {
        notice.occasion.map(|occasion| <&str>::from(occasion).to_owned()).unwrap_or_default()
    }),
    ("message", "Message of the Event.", |notice| notice.message.clone()),
    ("next", "What a person can do; empty if there is nothing to do.", |notice| {
        notice.next.clone().unwrap_or_default()
    }),
    ("revision", "Number of the revision; empty if the record cannot be read.", |notice| {
        notice.revision.map(|revision| revision.to_string()).unwrap_or_default()
    }),
    ("phase", "Phase, as in the ConfigMap `haldane-NAME`; empty if that cannot be read.", |notice| {
        notice.phase.map(|phase| phase.to_string()).unwrap_or_default()
    }),
    ("step", "Number of the step, from 1; empty before the first step and after the last.", |notice| {
        notice.step.map(|step| step.to_string()).unwrap_or_default()
    }),
    ("steps", "How many steps the plan has; empty without a rollout.", |notice| {
        notice.steps.map(|steps| steps.to_string()).unwrap_or_default()
    }),
    ("weight", "The canary's desired share of the traffic; empty without a rollout.", |notice| {
        notice.weight.map(|weight| weight.to_string()).unwrap_or_default()
    }),
    ("stableImages", "Images of stable's containers.", |notice| notice.stable_images.join(", ")),
    ("canaryImages", "Images of the canary's containers; empty without a rollout.", |notice| {
        notice.canary_images.join(", ")
    }),
];

/// A message with placeholders, in which each one is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

impl Template {
    /// Checks every placeholder.
    ///
    /// # Errors
    /// Which one is unknown, and which there are.
    pub fn parse(text: &str) -> Result<Self, String> {
        for (_, name) in parts(text)? {
            if !name.is_empty() && value_of(name).is_none() {
                let known = PLACEHOLDERS.map(|(name, ..)| name).join(", ");
                return Err(format!("has the unknown placeholder {{{{{name}}}}}, allowed are {known}"));
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The message about this for a destination of this format; a value is not searched for placeholders.
    #[must_use]
    pub fn filled(&self, notice: &Notice, format: Format) -> String {
        let filled = |(before, name): (&str, &str)| {
            let value = value_of(name).map(|value| value(notice)).unwrap_or_default();
            format!("{before}{}", format.value(value))
        };
        parts(&self.0).unwrap_or_default().into_iter().map(filled).collect()
    }
}

fn value_of(name: &str) -> Option<fn(&Notice) -> String> {
    PLACEHOLDERS.iter().find(|(known, ..)| *known == name).map(|(.., value)| *value)
}

/// Each plain text and the name of the placeholder after it, which is empty at the end.
fn parts(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, behind) = after.split_once("}}").ok_or("has {{ without }}")?;
        if name.trim().is_empty() {
            return Err("has a placeholder without a name".to_owned());
        }
        parts.push((before, name.trim()));
        rest = behind;
    }
    parts.push((rest, ""));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::{super::notice::tests::notice, *};

    #[test]
    fn a_value_takes_the_place_of_its_name_and_is_not_read_again() {
        let template = Template::parse("{{deployment}} in {{ namespace }}: {{message}}!").unwrap();
        let filled = template.filled(&Notice { message: "{{event}}".to_owned(), ..notice() }, Format::Slack);
        assert_eq!(filled, "web in shop: {{event}}!");
    }

    #[test]
    fn a_value_cannot_be_a_link_or_a_mention_but_the_text_around_it_can() {
        let text = "[{{deployment}}](https://board.example) @oncall {{message}}";
        let template = Template::parse(text).unwrap();
        let message =
            "@channel [sign in](https://evil.example) [a][b] [b]: https://evil.example [c]".to_owned();
        let hostile = Notice { message, ..notice() };
        assert_eq!(
            template.filled(&hostile, Format::Slack),
            "[web](https://board.example) @oncall @\u{200b}channel [sign in]\u{200b}(https://evil.example) \
             [a]\u{200b}[b] [b]\u{200b}: https://evil.example [c]\u{200b}"
        );
        assert!(template.filled(&hostile, Format::Teams).ends_with(&hostile.message), "it reads no Markdown");
    }

    #[test]
    fn an_unknown_placeholder_is_refused_with_the_known_ones() {
        let unknown = Template::parse("{{deploymnet}}").unwrap_err();
        assert!(
            unknown.starts_with("has the unknown placeholder {{deploymnet}}, allowed are namespace, deploy")
        );
        assert_eq!(Template::parse("a {{event").unwrap_err(), "has {{ without }}");
        assert_eq!(Template::parse("{{ }}").unwrap_err(), "has a placeholder without a name");
    }
}
