//! How a terminal is written to: colours, width, ages.

use jiff::{SignedDuration, Timestamp};
use std::io::IsTerminal;

/// Width of running text, in characters.
const WIDTH: usize = 100;

/// How to draw.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// With ANSI colours.
    pub color: bool,
    /// With more columns.
    pub wide: bool,
}

/// What a colour means.
#[derive(Debug, Clone, Copy)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Under way, or a person is needed.
    Notice,
    /// Failed.
    Bad,
    /// Less important.
    Faint,
    /// A heading.
    Strong,
}

impl Style {
    /// Colours for a terminal, unless `NO_COLOR` is set; none for a pipe.
    #[must_use]
    pub fn of_output() -> Self {
        let refuses = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { color: std::io::stdout().is_terminal() && !refuses, wide: false }
    }

    /// The text in a colour, if there are any.
    #[must_use]
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Notice => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        if self.color && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A span as kubectl writes ages: `45s`, `12m`, `3h`, `2d`.
#[must_use]
pub fn span(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// How long ago.
#[must_use]
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(now.duration_since(at)))
}

/// Rows with aligned columns, two spaces between them. Colours are added by `paint`, which gets row and column.
#[must_use]
pub fn columns(rows: &[Vec<String>], paint: impl Fn(usize, usize, &str) -> String) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |(number, row): (usize, &Vec<String>)| {
        let cell = |(column, (text, width)): (usize, (&String, &usize))| {
            let padding = width.saturating_sub(text.chars().count());
            format!("{}{}", paint(number, column, text), " ".repeat(padding))
        };
        let cells: Vec<String> = row.iter().zip(&widths).enumerate().map(cell).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().enumerate().map(line).collect()
}

/// Text in lines of at most [`WIDTH`] characters, each behind so many spaces.
#[must_use]
pub fn wrapped(text: &str, indent: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if indent + line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    let margin = " ".repeat(indent);
    let lines = lines.iter().filter(|line| !line.is_empty());
    lines.flat_map(|line| [margin.as_str(), line, "\n"]).collect()
}

/// Numbers as a line of bars, from the lowest to the highest.
#[must_use]
pub fn sparkline(values: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let bar = |value: &f64| {
        let share = if high > low { (value - low) / (high - low) } else { 0.0 };
        BARS.iter()
            .rev()
            .zip((0..BARS.len()).rev())
            .find(|(_, index)| {
                value.is_finite() && share * 8.0 >= f64::from(u8::try_from(*index).unwrap_or_default())
            })
            .map_or(' ', |(bar, _)| *bar)
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let text = |seconds| span(SignedDuration::from_secs(seconds));
        assert_eq!([0, 119, 120, 7199, 7200, 172_800].map(text), ["0s", "119s", "2m", "119m", "2h", "2d"]);
        assert_eq!(text(-5), "0s", "clocks differ");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["NAME".to_owned(), "PHASE".to_owned()],
            vec!["a-long-name".to_owned(), "Paused".to_owned()],
        ];
        let plain = |_: usize, _: usize, text: &str| text.to_owned();
        assert_eq!(columns(&rows, plain), "NAME         PHASE\na-long-name  Paused\n");
    }

    #[test]
    fn running_text_is_wrapped_between_words() {
        let text = wrapped(&"word ".repeat(30), 4);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines.iter().all(|line| line.len() <= WIDTH && line.starts_with("    word")), "{text}");
        assert_eq!(wrapped("", 4), "");
    }

    #[test]
    fn a_sparkline_goes_from_the_lowest_to_the_highest_value() {
        assert_eq!(sparkline(&[0.0, 0.5, 1.0]), "▁▅█");
        assert_eq!(sparkline(&[1.0, 1.0]), "▁▁");
        assert_eq!(sparkline(&[1.0, f64::NAN, 2.0]), "▁ █");
    }
}
