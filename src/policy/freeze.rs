//! Rule freeze: times in which nothing is released.

use super::{Check, Occasion, Rule, Subject};
use crate::{
    document::{
        fields::{Fields, Node},
        finding::{Finding, Findings},
        schema::Schema,
    },
    domain::{keys, request::Verb},
    gocompat::duration::GoDuration,
};
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    Timestamp, ToSpan,
    civil::{Date, DateTime},
    tz::{TimeZone, TimeZoneDatabase},
};

/// Name of the rule.
pub const FREEZE: &str = "freeze";

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: FREEZE,
    doc: "Nothing starts in these windows: no release, no `retry`, no order that continues with a version that no user has received yet, and no release that was held or queued before. A window starts at `cron` (five fields) and lasts for `duration` (at most 7 days), or goes `from` a date or time `to` another one (a date in `to` includes that day), in `timeZone` (IANA name, UTC by default). Always allowed are: a change back to the stable template, the end of a running rollout, a new Deployment where no pods run, a native restart, and everything that is not a Deployment. Users with the verb `override-freeze` on `deployments` can release in a freeze with the annotation `haldane.dev/override-freeze: REASON` in the same request; Haldane records the reason.",
    example: "{windows: [{name: weekend, cron: 0 18 * * fri, duration: 62h, timeZone: Europe/Berlin}, {name: christmas, from: 2026-12-20, to: 2027-01-03}]}",
    read: |node| {
        node.object(|fields| {
            let windows = fields.required("windows", |node| node.list(window))?;
            Some(Box::new(Freeze { windows }) as Box<dyn Check>)
        })
    },
};

/// Longest window of a schedule, in minutes.
const MAX_MINUTES: i64 = 7 * 24 * 60;

#[derive(Debug)]
struct Freeze {
    windows: Vec<Window>,
}

#[derive(Debug)]
struct Window {
    name: String,
    zone: TimeZone,
    when: When,
}

#[derive(Debug)]
enum When {
    Schedule { cron: Box<Cron>, minutes: i64 },
    Once { from: DateTime, to: DateTime },
}

impl Check for Freeze {
    fn check(&self, subject: &Subject<'_>) -> Findings {
        let starts = match subject.occasion {
            Occasion::Order(Verb::Promote | Verb::PromoteFull | Verb::Resume | Verb::SkipStep) => {
                subject.is_unexposed
            }
            occasion => occasion.releases() || occasion == Occasion::Order(Verb::Retry),
        };
        let applies = starts && subject.opted_in && subject.override_freeze.is_none();
        let windows = self.windows.iter().filter(|_| applies);
        let Some((window, end)) =
            windows.filter_map(|window| Some((window, window.end(subject.now)?))).max_by_key(|(_, end)| *end)
        else {
            return Findings::new();
        };
        let until = end.to_zoned(window.zone.clone()).strftime("%Y-%m-%d %H:%M %Z");
        let problem = format!(
            "the freeze {:?} does not allow releases until {until}; in an emergency, users with the verb override-freeze on deployments can add the annotation {}: REASON to the same request",
            window.name,
            keys::OVERRIDE_FREEZE
        );
        vec![match subject.occasion {
            Occasion::Order(verb) => {
                Finding::new(format!("metadata.annotations[{}]", keys::DO), verb, problem)
            }
            _ => Finding::new("spec.template", "", problem),
        }]
    }
}

impl Window {
    /// When the current window ends, if `now` is in one.
    fn end(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.when {
            When::Schedule { cron, minutes } => {
                let now = now.to_zoned(self.zone.clone());
                // The window that started last ends last.
                let start = cron.find_previous_occurrence(&now, true).ok()?.timestamp();
                start.checked_add(minutes.minutes()).ok().filter(|end| now.timestamp() < *end)
            }
            When::Once { from, to } => {
                let at =
                    |time: &DateTime| time.to_zoned(self.zone.clone()).ok().map(|zoned| zoned.timestamp());
                let (from, to) = (at(from)?, at(to)?);
                (from <= now && now < to).then_some(to)
            }
        }
    }
}

fn window(node: Node<'_>) -> Option<Window> {
    node.object(|fields| {
        let name = fields.required("name", Node::string);
        let zone = fields.optional("timeZone", time_zone);
        let schedule = both(fields, ("cron", schedule), ("duration", length));
        let once = both(fields, ("from", |node| moment(node, false)), ("to", |node| moment(node, true)));
        let when = match (schedule, once) {
            (Both::Read(cron, minutes), Both::Absent) => {
                Some(When::Schedule { cron: Box::new(cron), minutes })
            }
            (Both::Absent, Both::Read(from, to)) if from < to => Some(When::Once { from, to }),
            (Both::Absent, Both::Read(..)) => fail(fields, "from must be before to"),
            (Both::Unreadable, _) | (_, Both::Unreadable) => None,
            _ => fail(fields, "must have cron and duration, or from and to"),
        };
        Some(Window { name: name?, zone: zone.unwrap_or(TimeZone::UTC), when: when? })
    })
}

/// Two fields that must be set together.
enum Both<A, B> {
    Absent,
    Read(A, B),
    /// One of them is missing.
    Half,
    /// A field that could not be read has its own finding.
    Unreadable,
}

fn both<'a, A, B>(
    fields: &mut Fields<'a>,
    first: (&'static str, fn(Node<'a>) -> Option<A>),
    second: (&'static str, fn(Node<'a>) -> Option<B>),
) -> Both<A, B> {
    // The result of reading a field that is present.
    let a = fields.optional(first.0, |node| Some(first.1(node)));
    let b = fields.optional(second.0, |node| Some(second.1(node)));
    match (a, b) {
        (Some(Some(a)), Some(Some(b))) => Both::Read(a, b),
        (None, None) => Both::Absent,
        (Some(None), _) | (_, Some(None)) => Both::Unreadable,
        (None, Some(Some(_))) | (Some(Some(_)), None) => Both::Half,
    }
}

fn fail<T>(fields: &mut Fields<'_>, problem: &str) -> Option<T> {
    fields.fail(problem);
    None
}

fn schedule(node: Node<'_>) -> Option<Cron> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    node.typed(Schema::Text, |node| match node.value().as_str().map(|text| parser.parse(text)) {
        Some(Ok(cron)) => Some(cron),
        _ => node.fail(
            "must be five fields (minute hour day-of-month month day-of-week) of numbers, names, lists, ranges and steps, such as \"0 18 * * fri\"",
        ),
    })
}

fn time_zone(node: Node<'_>) -> Option<TimeZone> {
    // Uses the built-in database: a rule must not depend on the machine that it runs on.
    let zone = |name| TimeZoneDatabase::bundled().get(name).ok();
    node.typed(Schema::Text, |node| match node.value().as_str().and_then(zone) {
        Some(zone) => Some(zone),
        None => node.fail("must be a time zone such as Europe/Berlin"),
    })
}

fn length(node: Node<'_>) -> Option<i64> {
    node.typed(Schema::Duration, |node| {
        let length = node.value().as_str().and_then(|text| text.parse::<GoDuration>().ok());
        let minutes = length.map(|length| length.signed().as_mins());
        match minutes.filter(|minutes| (1..=MAX_MINUTES).contains(minutes)) {
            Some(minutes) => Some(minutes),
            None => node.fail("must be a duration from 1m to 168h"),
        }
    })
}

/// A date or a time; a date as the end includes that day.
fn moment(node: Node<'_>, is_end: bool) -> Option<DateTime> {
    node.typed(Schema::Text, |node| {
        let text = node.value().as_str().unwrap_or_default();
        let day = text.parse::<Date>().ok().filter(|_| text.len() == 10);
        let day = day.and_then(|day| if is_end { day.tomorrow().ok() } else { Some(day) });
        match day.map(|day| day.to_datetime(jiff::civil::Time::midnight())).or_else(|| text.parse().ok()) {
            Some(moment) => Some(moment),
            None => node.fail("must be a date such as 2026-12-20, or a time such as 2026-12-20T18:00"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::fields;
    use serde_json::json;

    fn read(cron: &str) -> Option<Cron> {
        fields::read(&json!(cron), "cron", schedule).ok()
    }

    fn is_frozen(cron: &str, time: &str) -> bool {
        let when = When::Schedule { cron: Box::new(read(cron).unwrap()), minutes: 60 };
        let window = Window { name: "x".to_owned(), zone: TimeZone::UTC, when };
        window.end(time.parse().unwrap()).is_some()
    }

    #[test]
    fn a_window_begins_when_cron_fires() {
        // 2026-01-02 is a Friday.
        assert!(
            is_frozen("0 18 * * 5", "2026-01-02T18:00:00Z")
                && is_frozen("0 18 * JAN fri", "2026-01-02T18:59:59Z")
        );
        assert!(
            !is_frozen("0 18 * * 5", "2026-01-02T19:00:00Z")
                && !is_frozen("0 18 * * 5", "2026-01-03T18:00:00Z")
        );
        assert!(
            is_frozen("0 0 * * 7", "2026-01-04T00:30:00Z")
                && is_frozen("0 0 24-31 12 *", "2026-12-24T00:30:00Z")
        );
        // With both kinds of day, either of them matches.
        assert!(
            is_frozen("0 0 13 * 5", "2026-01-13T00:30:00Z")
                && is_frozen("0 0 13 * 5", "2026-01-02T00:30:00Z")
        );
    }

    #[test]
    fn what_is_not_a_schedule_is_refused() {
        let texts = [
            "",
            "* * * *",
            "0 * * * * *",
            "60 * * * *",
            "* * 0 * *",
            "5-1 * * * *",
            "*/0 * * * *",
            "a * * * *",
        ];
        for text in texts {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
