//! Says on standard error what takes long, and how long it usually takes.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a line is printed where there is no terminal to draw on.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// The display of one piece of work: a bar on a terminal, otherwise a line now and then.
#[derive(Debug)]
pub struct Progress {
    title: String,
    usual: Option<Duration>,
    begun: Instant,
    printed: Instant,
    percent: Option<u8>,
    bar: ProgressBar,
}

impl Progress {
    /// Begins the display. `usual` is how long the work takes on a small machine.
    pub fn begin(title: impl Into<String>, usual: Option<Duration>) -> Self {
        let (title, now) = (title.into(), Instant::now());
        let bar = ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::stderr());
        let template = "{spinner} {msg}";
        bar.set_style(
            ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        let display = Self {
            title,
            usual,
            begun: now,
            printed: now,
            percent: None,
            bar,
        };
        display.show();
        display
    }

    /// Looks at the clock, and takes note of how far the work is, if that is known.
    pub fn tick(&mut self, percent: Option<u8>) {
        self.percent = percent.or(self.percent);
        if !self.bar.is_hidden() {
            self.bar.set_message(self.line());
            self.bar.tick();
        } else if self.printed.elapsed() >= LINE_EVERY {
            self.printed = Instant::now();
            self.show();
        }
    }

    /// Ends the display with `result`, such as `done`.
    pub fn end(self, result: &str) {
        self.bar.finish_and_clear();
        eprintln!(
            "{}: {result} ({})",
            self.title,
            minutes(self.begun.elapsed())
        );
    }

    fn show(&self) {
        match self.bar.is_hidden() {
            true => eprintln!("{}", self.line()),
            false => self.bar.set_message(self.line()),
        }
    }

    fn line(&self) -> String {
        describe(&self.title, self.begun.elapsed(), self.usual, self.percent)
    }
}

fn describe(
    title: &str,
    elapsed: Duration,
    usual: Option<Duration>,
    percent: Option<u8>,
) -> String {
    let percent = percent
        .map(|percent| format!("{percent} %, "))
        .unwrap_or_default();
    let elapsed = minutes(elapsed);
    let usual = usual
        .map(|usual| format!(" (usually about {})", minutes(usual)))
        .unwrap_or_default();
    format!("{title}: {percent}{elapsed}{usual}")
}

/// A duration as people read it: `9.5 s`, `42 s`, `3 min 20 s`.
pub fn minutes(duration: Duration) -> String {
    match duration.as_secs() {
        0..=9 => format!("{:.1} s", duration.as_secs_f64()),
        seconds @ 10..=119 => format!("{seconds} s"),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_how_far_and_how_long() {
        let line = describe(
            "building x",
            Duration::from_secs(200),
            Some(Duration::from_secs(480)),
            Some(42),
        );
        assert_eq!(line, "building x: 42 %, 3 min 20 s (usually about 8 min)");
        assert_eq!(
            describe("y", Duration::from_millis(1234), None, None),
            "y: 1.2 s"
        );
    }
}
