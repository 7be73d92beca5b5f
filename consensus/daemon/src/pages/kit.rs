//! What pages are made of. Text is escaped by maud, wherever it comes from; what strangers wrote goes through [`visible`] as well.

use maud::{html, Markup, PreEscaped, DOCTYPE};
use qrcode::{Color, QrCode};
use tide::{
    http::{headers::CACHE_CONTROL, mime},
    Response, StatusCode,
};

/// Characters of a stranger's text that are shown; the rest is cut off.
const MAX_VISIBLE_CHARS: usize = 200;

/// Characters in a QR code. Longer text is shown without one: no camera would read it.
const MAX_QR_CHARS: usize = 2_000;

/// White squares around a QR code, as its standard wants.
const QUIET_SQUARES: usize = 4;

/// ⚠ Nothing from elsewhere, nothing inline, nowhere else to send forms to, in nobody's frame.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A page.
pub struct Page<'a> {
    /// What it is about: shown on top, and in the browser's tab.
    pub title: &'a str,
    /// Other pages, by path and name.
    pub links: &'a [(&'a str, &'a str)],
    /// Whether there is a session that can be ended.
    pub can_log_out: bool,
    /// Seconds after which the browser asks again, if at all.
    pub refresh_seconds: Option<u32>,
    /// What answers once there is something new to show, if anything does.
    pub changes: Option<String>,
}

impl<'a> Page<'a> {
    /// One without anything beside its title.
    #[must_use]
    pub fn new(title: &'a str) -> Self {
        Self {
            title,
            links: &[],
            can_log_out: false,
            refresh_seconds: None,
            changes: None,
        }
    }

    /// The page around its body.
    #[must_use]
    pub fn response(&self, status: StatusCode, body: &Markup) -> Response {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (visible(self.title)) " · Guildmint" }
                    link rel="stylesheet" href="/style.css";
                    script src="/page.js" defer {}
                }
                body data-changes=[&self.changes] {
                    header {
                        h1 { (visible(self.title)) }
                        nav {
                            @for (path, name) in self.links {
                                a href=(path) { (name) }
                            }
                            @if self.can_log_out {
                                form method="post" action="/logout" { button { "Log out" } }
                            }
                        }
                    }
                    main { (body) }
                }
            }
        };
        let mut response = Response::new(status);
        response.set_content_type(mime::HTML);
        response.set_body(page.into_string());
        secure(&mut response);
        response.insert_header(CACHE_CONTROL, "no-store");
        if let Some(seconds) = self.refresh_seconds {
            response.insert_header("refresh", seconds.to_string());
        }
        response
    }
}

/// What every page tells the browser to refuse.
fn secure(response: &mut Response) {
    response.insert_header("content-security-policy", POLICY);
    response.insert_header("x-content-type-options", "nosniff");
    response.insert_header("x-frame-options", "DENY");
    response.insert_header("cross-origin-opener-policy", "same-origin");
    // Not `no-referrer`: with it browsers leave out the origin of forms, by which forged ones are told from ours.
    response.insert_header("referrer-policy", "same-origin");
}

/// Text that strangers wrote, such as a name: with no character that is invisible, moves the cursor or turns the
/// direction of writing, and not too long.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MAX_VISIBLE_CHARS)
        .map(|c| if is_hidden(c) { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(MAX_VISIBLE_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

/// The same for a text of several lines that is shown whole.
#[must_use]
pub fn visible_lines(text: &str) -> String {
    let shown = |c| match c {
        '\n' => c,
        _ if is_hidden(c) => '\u{fffd}',
        _ => c,
    };
    text.chars().map(shown).collect()
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A part of a page, with its heading.
#[must_use]
pub fn section(heading: &str, body: &Markup) -> Markup {
    html! { section { h2 { (heading) } (body) } }
}

/// Names and values, one below the other.
#[must_use]
pub fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! { dl { @for (name, value) in facts { dt { (name) } dd { (value) } } } }
}

/// A table. Without rows it says `nothing`.
#[must_use]
pub fn table(headings: &[&str], rows: &[Vec<Markup>], nothing: &str) -> Markup {
    html! {
        @if rows.is_empty() {
            p.quiet { (nothing) }
        } @else {
            div.wide { table {
                thead { tr { @for heading in headings { th scope="col" { (heading) } } } }
                tbody { @for row in rows { tr { @for cell in row { td { (cell) } } } } }
            } }
        }
    }
}

/// Whether something is in order, by word and by colour.
#[must_use]
pub fn mark(ok: bool, good: &str, bad: &str) -> Markup {
    html! { @if ok { span.good { (good) } } @else { span.bad { (bad) } } }
}

/// Text to be copied: by a button where there are scripts, by hand where there are none.
#[must_use]
pub fn copyable(label: &str, text: &str) -> Markup {
    html! {
        label.copy {
            span { (label) }
            textarea readonly rows="3" spellcheck="false" { (text) }
            button type="button" hidden data-copy { "Copy" }
        }
    }
}

/// A field of a form.
#[must_use]
pub fn field(label: &str, name: &str, kind: &str) -> Markup {
    html! { label { span { (label) } input type=(kind) name=(name) required autocomplete=(autocomplete(kind)); } }
}

fn autocomplete(kind: &str) -> &'static str {
    match kind {
        "password" => "current-password",
        _ => "off",
    }
}

/// A form. Forms that other pages send in our name are refused at the door, so it needs no token of its own (SPEC API-3).
#[must_use]
pub fn form(action: &str, fields: &Markup, button: &str) -> Markup {
    html! { form method="post" action=(action) { (fields) button { (button) } } }
}

/// A QR code as a picture that is part of the page; nothing if the text is too long for one.
#[must_use]
pub fn qr(text: &str) -> Markup {
    let code = Some(text).filter(|text| text.len() <= MAX_QR_CHARS);
    let Some(code) = code.and_then(|text| QrCode::new(text).ok()) else {
        return html! { p.quiet { "Too long for a QR code." } };
    };
    let side = code.width() + 2 * QUIET_SQUARES;
    let path = squares(&code.to_colors(), code.width());
    html! {
        svg.qr role="img" aria-label="QR code" viewBox=(format!("0 0 {side} {side}")) shape-rendering="crispEdges" {
            rect width=(side) height=(side) fill="#fff" {}
            path d=(PreEscaped(path)) fill="#000" {}
        }
    }
}

/// One square of a path for each dark square.
fn squares(colors: &[Color], width: usize) -> String {
    let dark = colors
        .iter()
        .enumerate()
        .filter(|(_, color)| **color == Color::Dark);
    dark.map(|(at, _)| {
        format!(
            "M{} {}h1v1h-1z",
            at % width + QUIET_SQUARES,
            at / width + QUIET_SQUARES
        )
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_strangers_hides_nothing() {
        for (text, shown) in [
            ("Zürich 1 – ✓", "Zürich 1 – ✓"),
            (
                "a\u{202e}b\u{200b}c\nd\u{feff}",
                "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}",
            ),
            ("\u{2066}\u{0007}", "\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(visible(text), shown);
        }
        let long = "x".repeat(MAX_VISIBLE_CHARS + 1);
        assert_eq!(visible(&long), format!("{}…", &long[1..]));
        assert_eq!(visible(&long[1..]), long[1..]);
    }

    #[test]
    fn a_code_that_no_camera_reads_is_none() {
        assert!(qr(&"x".repeat(MAX_QR_CHARS)).into_string().contains("<svg"));
        assert!(!qr(&"x".repeat(MAX_QR_CHARS + 1))
            .into_string()
            .contains("<svg"));
    }

    #[test]
    fn each_dark_square_is_drawn_where_it_is() {
        let colors = [Color::Light, Color::Dark, Color::Dark, Color::Light];
        assert_eq!(squares(&colors, 2), "M5 4h1v1h-1zM4 5h1v1h-1z");
    }

    #[test]
    fn text_cannot_leave_its_place_in_a_page() {
        let page = copyable("<b>", "</textarea><script>").into_string();
        assert!(
            !page.contains("<b>") && !page.contains("<script>"),
            "{page}"
        );
    }
}
