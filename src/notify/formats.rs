//! The formats of notifications.

use super::{notice::Notice, occasion::Occasion};
use serde_json::{Value, json};

/// What a destination understands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, strum::EnumMessage, strum::IntoStaticStr, strum::VariantArray,
)]
#[strum(serialize_all = "camelCase")]
pub enum Format {
    /// An incoming webhook of Slack, or of a chat that understands its messages, such as Mattermost.
    Slack,
    /// A webhook of a Microsoft Teams workflow, as an Adaptive Card.
    Teams,
    /// A JSON object of Haldane's own fields.
    Webhook,
    /// A `CloudEvent` 1.0 in structured JSON over HTTP.
    CloudEvents,
}

impl Format {
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::CloudEvents => "application/cloudevents+json; charset=utf-8",
            Self::Slack | Self::Teams | Self::Webhook => "application/json; charset=utf-8",
        }
    }

    /// A value of a release, for a text of one's own.
    pub(super) fn value(self, text: String) -> String {
        match self {
            Self::Slack => inert(&text),
            Self::Teams | Self::Webhook | Self::CloudEvents => text,
        }
    }

    /// The body of a request; a `text` takes the place of the usual one.
    pub(super) fn body(self, notice: &Notice, text: Option<String>) -> Value {
        match self {
            Self::Slack => slack(notice, text),
            Self::Teams => teams(notice, text),
            Self::Webhook => data(notice, text),
            Self::CloudEvents => cloud_event(notice, text),
        }
    }
}

/// What the status of an answer means.
///
/// # Errors
/// What the receiver answered, and whether to try again.
pub fn accepted(status: u16) -> Result<(), (String, bool)> {
    match status {
        200..300 => Ok(()),
        status @ (408 | 429 | 500..) => Err((format!("the receiver answered {status}"), true)),
        status @ 300..400 => {
            Err((format!("the receiver answered {status}, and redirects are not followed"), false))
        }
        status => Err((format!("the receiver answered {status}"), false)),
    }
}

/// How urgent it is, as colours of Slack and of Adaptive Cards.
fn colors(notice: &Notice) -> (&'static str, &'static str) {
    match notice.occasion {
        Some(Occasion::Aborted | Occasion::Blocked) => ("danger", "Attention"),
        Some(Occasion::WaitsForPerson) => ("warning", "Warning"),
        Some(Occasion::Promoted) => ("good", "Good"),
        _ if notice.type_ == "Warning" => ("warning", "Warning"),
        _ => ("#439FE0", "Accent"),
    }
}

/// A value of a release without what chats read as a mention or a link: a character without width follows `@`, and `]`
/// where an address may come next.
fn inert(text: &str) -> String {
    let mut inert = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(letter) = rest.next() {
        inert.push(letter);
        let ends_a_label = letter == ']' && matches!(rest.peek(), None | Some('(' | '[' | ':'));
        if letter == '@' || ends_a_label {
            inert.push('\u{200b}');
        }
    }
    inert
}

/// Attachments rather than blocks: the chats that are compatible with Slack understand them as well.
fn slack(notice: &Notice, text: Option<String>) -> Value {
    // Slack reads the three as the beginning of a link or a mention.
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    if let Some(text) = text {
        return json!({"text": escaped(&text)});
    }
    let field = |(title, value): (&str, String)| json!({"title": title, "value": escaped(&inert(&value)), "short": title == "Step" || title == "Weight"});
    json!({
        "text": escaped(&notice.headline()),
        "attachments": [{
            "color": colors(notice).0,
            "fallback": escaped(&notice.headline()),
            "text": escaped(&inert(&notice.message)),
            "fields": notice.facts().into_iter().map(field).collect::<Vec<_>>(),
            "ts": notice.time.as_second(),
        }],
    })
}

/// Text runs are plain; text blocks and facts would read Markdown. Only the headline is a text block: it is made of names.
fn teams(notice: &Notice, text: Option<String>) -> Value {
    let run = |text: &str| json!({"type": "TextRun", "text": text});
    let block = |runs: &[Value]| json!({"type": "RichTextBlock", "inlines": runs});
    let fact = |(title, value): (&str, String)| {
        let title = json!({"type": "TextRun", "text": format!("{title}: "), "weight": "Bolder"});
        block(&[title, run(&value)])
    };
    let usual = || {
        let headline = json!({
            "type": "TextBlock", "text": notice.headline(), "weight": "Bolder", "size": "Medium",
            "color": colors(notice).1, "wrap": true,
        });
        let all = [headline, block(&[run(&notice.message)])];
        all.into_iter().chain(notice.facts().into_iter().map(fact)).collect()
    };
    let body = text.map_or_else(usual, |text| vec![block(&[run(&text)])]);
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": body,
            },
        }],
    })
}

/// The notice, and its text where a destination has one of its own.
fn data(notice: &Notice, text: Option<String>) -> Value {
    let mut data = json!(notice);
    if let (Some(text), Some(fields)) = (text, data.as_object_mut()) {
        fields.insert("text".to_owned(), text.into());
    }
    data
}

fn cloud_event(notice: &Notice, text: Option<String>) -> Value {
    let Notice { id, namespace, deployment, event, time, .. } = notice;
    json!({
        "specversion": "1.0",
        "id": id,
        "source": format!("/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}"),
        "type": format!("dev.haldane.{event}"),
        "subject": deployment,
        "time": time,
        "datacontenttype": "application/json",
        "data": data(notice, text),
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::notice::tests::{about, notice},
        *,
    };
    use crate::{
        decide::{Event, fixtures::now},
        domain::state::Stage,
    };
    use insta::assert_json_snapshot;

    fn body(format: Format, notice: &Notice) -> Value {
        format.body(notice, None)
    }

    #[test]
    fn an_abort_in_each_format() {
        assert_json_snapshot!("slack", body(Format::Slack, &notice()));
        assert_json_snapshot!("teams", body(Format::Teams, &notice()));
        assert_json_snapshot!("webhook", body(Format::Webhook, &notice()));
        assert_json_snapshot!("cloud_events", body(Format::CloudEvents, &notice()));
    }

    #[test]
    fn a_text_of_ones_own_takes_the_place_of_the_usual_one() {
        let text = || Some("<web> & more".to_owned());
        assert_json_snapshot!("slack_text", Format::Slack.body(&notice(), text()));
        assert_json_snapshot!("teams_text", Format::Teams.body(&notice(), text()));
        assert_eq!(Format::Webhook.body(&notice(), text())["text"], "<web> & more");
        assert_eq!(Format::CloudEvents.body(&notice(), text())["data"]["text"], "<web> & more");
    }

    #[test]
    fn what_is_written_in_a_release_cannot_be_a_link_or_a_mention() {
        let hostile = Notice {
            message: "@channel <!here> [sign in](https://evil.example) [a][b] [b]: https://evil.example"
                .to_owned(),
            canary_images: vec!["web@sha256:0".to_owned()],
            report: None,
            ..notice()
        };
        assert_json_snapshot!("slack_hostile", body(Format::Slack, &hostile)["attachments"][0]);
        let card = body(Format::Teams, &hostile)["attachments"][0]["content"]["body"].to_string();
        assert_eq!(
            (card.matches("TextBlock").count(), card.contains("FactSet")),
            (1 + card.matches("RichTextBlock").count(), false)
        );
        assert_eq!(body(Format::Webhook, &hostile)["message"], hostile.message);
    }

    #[test]
    fn a_release_that_waits_says_where_it_is() {
        let verdict = "metric \"errors\" is inconclusive".to_owned();
        let stage = Stage::Step { index: 1, entered_at: now(), inconclusive: Some(verdict) };
        let waits =
            about(&Event::warning("RolloutPaused", "Rollout is paused (InconclusiveAnalysisRun)"), stage);
        assert_json_snapshot!("slack_waits", body(Format::Slack, &waits));
    }

    #[test]
    fn an_answer_says_whether_to_try_again() {
        assert_eq!((accepted(200), accepted(202)), (Ok(()), Ok(())));
        for status in [408, 429, 500, 503] {
            assert_eq!(accepted(status), Err((format!("the receiver answered {status}"), true)));
        }
        assert_eq!(accepted(404), Err(("the receiver answered 404".to_owned(), false)));
        let redirect = "the receiver answered 302, and redirects are not followed";
        assert_eq!(accepted(302), Err((redirect.to_owned(), false)));
    }
}
