//! Times in the five fields of cron: minute, hour, day of month, month, day of week.

use jiff::civil::DateTime;
use std::str::FromStr;

/// A checked schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// As in cron, days of month and of week add up when both are restricted.
    any_day: bool,
}

/// The text is not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be five fields (minute hour day-of-month month day-of-week) of numbers, lists, ranges and steps, such as \"0 18 * * 5\""
)]
pub(super) struct BadCron;

const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl FromStr for Cron {
    type Err = BadCron;

    fn from_str(text: &str) -> Result<Self, BadCron> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else { return Err(BadCron) };
        let weekdays = field(&with_numbers(weekday), 0, 7)?;
        Ok(Self {
            minutes: field(minute, 0, 59)?,
            hours: field(hour, 0, 23)?,
            days: field(day, 1, 31)?,
            months: field(month, 1, 12)?,
            // 7 is Sunday as well.
            weekdays: weekdays | (weekdays >> 7 & 1),
            any_day: !day.starts_with('*') && !weekday.starts_with('*'),
        })
    }
}

impl Cron {
    /// Whether the schedule fires in this minute.
    pub fn fires(&self, time: DateTime) -> bool {
        let has = |set: u64, number: i8| set >> number & 1 == 1;
        let day = has(self.days, time.day());
        let weekday = has(self.weekdays, time.weekday().to_sunday_zero_offset());
        let date = if self.any_day { day || weekday } else { day && weekday };
        has(self.minutes, time.minute())
            && has(self.hours, time.hour())
            && has(self.months, time.month())
            && date
    }
}

fn with_numbers(weekday: &str) -> String {
    let mut text = weekday.to_lowercase();
    for (number, name) in WEEKDAYS.iter().enumerate() {
        text = text.replace(name, &number.to_string());
    }
    text
}

/// A set of numbers, one bit each.
fn field(text: &str, min: u32, max: u32) -> Result<u64, BadCron> {
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0).ok_or(BadCron)?),
            None => (part, 1_usize),
        };
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| (min..=max).contains(n)).ok_or(BadCron);
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (min, max),
            Some((first, last)) => (number(first)?, number(last)?),
            None if part.contains('/') => (number(range)?, max),
            None => (number(range)?, number(range)?),
        };
        if first > last {
            return Err(BadCron);
        }
        set = (first..=last).step_by(step).fold(set, |set, number| set | 1 << number);
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fires(cron: &str, time: &str) -> bool {
        cron.parse::<Cron>().unwrap().fires(time.parse().unwrap())
    }

    #[test]
    fn fires_when_cron_does() {
        // 2026-01-02 is a Friday.
        assert!(fires("0 18 * * 5", "2026-01-02T18:00:00") && fires("0 18 * * fri", "2026-01-02T18:00:30"));
        assert!(!fires("0 18 * * 5", "2026-01-02T18:01:00") && !fires("0 18 * * 5", "2026-01-03T18:00:00"));
        assert!(
            fires("*/15 8-17 * * 1-5", "2026-01-02T08:45:00")
                && !fires("*/15 8-17 * * 1-5", "2026-01-02T08:50:00")
        );
        assert!(fires("0 0 * * 7", "2026-01-04T00:00:00") && fires("0 0 * * 0", "2026-01-04T00:00:00"));
        assert!(
            fires("0 0 24-31 12 *", "2026-12-24T00:00:00") && !fires("0 0 24-31 12 *", "2026-12-23T00:00:00")
        );
        // Both kinds of day: either.
        assert!(fires("0 0 13 * 5", "2026-01-13T00:00:00") && fires("0 0 13 * 5", "2026-01-02T00:00:00"));
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in
            ["", "* * * *", "60 * * * *", "* * 0 * *", "5-1 * * * *", "*/0 * * * *", "a * * * *", "* * * * 8"]
        {
            assert_eq!(text.parse::<Cron>(), Err(BadCron), "{text}");
        }
    }
}
