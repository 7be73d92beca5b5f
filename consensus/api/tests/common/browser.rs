//! Chromium from Debian's package, without a window, told what to do over a pair of pipes by its DevTools protocol.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{channel, Receiver},
    thread,
    time::Duration,
};

use serde_json::{json, Value as Json};
use tempfile::TempDir;

/// Long enough for a browser to start on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one page, until it is dropped.
pub struct Browser {
    child: Child,
    input: File,
    messages: Receiver<Json>,
    /// What was said without being asked for.
    events: Vec<Json>,
    calls: u64,
    page: Option<String>,
    _profile: TempDir,
}

impl Browser {
    pub fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let pipe = |name| {
            let path = profile.path().join(name);
            let made = Command::new("mkfifo").arg(&path).status().unwrap();
            assert!(made.success());
            path
        };
        let (to, from) = (pipe("to"), pipe("from"));
        let child = spawn(profile.path());
        // Each waits for the other side, in this order.
        let input = OpenOptions::new().write(true).open(to).unwrap();
        let output = BufReader::new(File::open(from).unwrap());
        let (sender, messages) = channel();
        thread::spawn(move || {
            for message in output.split(0) {
                let Ok(message) = message else { return };
                if sender
                    .send(serde_json::from_slice(&message).unwrap())
                    .is_err()
                {
                    return;
                }
            }
        });
        let mut browser = Self {
            child,
            input,
            messages,
            events: Vec::new(),
            calls: 0,
            page: None,
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        browser.page = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Log", "Network", "Runtime"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Asks the browser for something, and waits until it is done.
    pub fn call(&mut self, method: &str, parameters: Json) -> Json {
        let answer = self.answer(method, parameters);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The same; the answer may be an error.
    fn answer(&mut self, method: &str, parameters: Json) -> Json {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(page) = &self.page {
            message["sessionId"] = page.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).unwrap();
        loop {
            let message = self.next();
            if message["id"] == self.calls {
                return message;
            }
            self.events.push(message);
        }
    }

    fn next(&self) -> Json {
        self.messages
            .recv_timeout(PATIENCE)
            .expect("the browser says nothing")
    }

    /// Opens a page, and waits until it and what it goes on to are loaded.
    pub fn open(&mut self, url: &str) {
        self.events.clear();
        self.call("Page.navigate", json!({ "url": url }));
        self.loaded();
    }

    /// Waits until a page is loaded.
    pub fn loaded(&mut self) {
        let is_load = |event: &Json| event["method"] == "Page.loadEventFired";
        while !self.events.iter().any(is_load) {
            let event = self.next();
            self.events.push(event);
        }
    }

    /// Does something that leads to another page, and waits for it.
    pub fn follow(&mut self, script: &str) {
        self.events.clear();
        self.evaluate(script);
        self.loaded();
    }

    /// The value of an expression in the page.
    pub fn evaluate(&mut self, script: &str) -> Json {
        let answer = self.call(
            "Runtime.evaluate",
            json!({ "expression": script, "returnByValue": true }),
        );
        assert!(answer["exceptionDetails"].is_null(), "{script}: {answer}");
        answer["result"]["value"].clone()
    }

    /// The text of a page that may be replaced by another at any time; none while it is.
    pub fn glance(&mut self) -> Option<String> {
        let script = json!({ "expression": "document.body.innerText", "returnByValue": true });
        let answer = self.answer("Runtime.evaluate", script);
        let text = answer["result"]["result"]["value"].as_str();
        text.map(str::to_owned)
    }

    /// Where the page asked for something since it was opened.
    pub fn requests(&self) -> Vec<String> {
        let requests = self
            .events
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent");
        requests
            .map(|event| {
                event["params"]["request"]["url"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }

    /// What the browser complained about since the page was opened.
    pub fn complaints(&self) -> Vec<String> {
        let entries = self
            .events
            .iter()
            .filter(|event| event["method"] == "Log.entryAdded");
        entries
            .map(|event| event["params"]["entry"]["text"].to_string())
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(profile: &Path) -> Child {
    let script = "exec chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
        --disable-background-networking --remote-debugging-pipe --user-data-dir=\"$0/profile\" 3<\"$0/to\" 4>\"$0/from\"";
    assert!(
        Command::new("chromium")
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success()),
        "there is no browser: install Debian's `chromium`, as `cargo testbed test` does"
    );
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(profile);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}
