//! The page in a real browser without a window: somebody is picked, chooses something, and is recommended something else.
#![cfg(unix)]

use crate::{Live, world};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Chromium, spoken to through its pipe: messages of JSON, each with a zero behind it.
struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    session: Option<String>,
    n: u64,
}

impl Browser {
    fn start(folder: &Path) -> Option<Browser> {
        let name = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
            let found = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            found.is_ok_and(|s| s.success())
        })?;
        let pipes = ["to", "from"].map(|n| folder.join(n));
        assert!(Command::new("mkfifo").args(&pipes).status().expect("mkfifo").success());
        let profile = folder.join("profile");
        let command = format!(
            "exec {name} --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
             --user-data-dir={} --remote-debugging-pipe about:blank 3<{} 4>{}",
            profile.display(),
            pipes[0].display(),
            pipes[1].display()
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).stdout(Stdio::null()).stderr(Stdio::null());
        let child = shell.spawn().expect("a shell");
        // In this order the shell opens them, and each waits for its other end.
        let to = OpenOptions::new().write(true).open(&pipes[0]).expect("a pipe");
        let from = BufReader::new(File::open(&pipes[1]).expect("a pipe"));
        let mut browser = Browser { child, to, from, session: None, n: 0 };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", &attach)["sessionId"].as_str().expect("a session").into();
        browser.session = Some(session);
        Some(browser)
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.n += 1;
        let mut message = json!({ "id": self.n, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("the browser listens");
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(0, &mut bytes).expect("the browser speaks");
            let end = bytes.pop();
            assert_eq!(end, Some(0), "the browser went away");
            let answer: Value = serde_json::from_slice(&bytes).expect("JSON");
            if answer["id"] == self.n {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// What `script` gives, once its promise is kept.
    fn eval(&mut self, script: &str) -> Value {
        let params = json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", &params);
        assert!(answer.get("exceptionDetails").is_none(), "{script}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits in the page until `what` is true.
    fn until(&mut self, what: &str) {
        let script = format!(
            "new Promise((done) => {{ const end = Date.now() + 15000; const look = () => {{ if ({what}) done(true); \
             else if (Date.now() > end) done(document.body.innerText); else setTimeout(look, 20); }}; look(); }})"
        );
        let came = self.eval(&script);
        assert_eq!(came, json!(true), "it never came to {what}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn the_page_works_in_a_browser() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(mut browser) = Browser::start(folder.path()) else {
        eprintln!("skipped: no chromium here");
        return;
    };
    let live = Live::new(&world().whole());
    browser.call("Page.navigate", &json!({ "url": format!("http://{}/", live.address) }));
    const ITEMS: &str = "[...document.querySelectorAll('#list li')].map((li) => li.dataset.item)";
    browser.until("document.querySelectorAll('#list li').length === 10");
    assert_eq!(browser.eval("document.querySelectorAll('#users option').length"), json!(20));
    // Somebody new, in the way that a person goes.
    browser.eval("document.getElementById('user').value = '<b>somebody</b> new'");
    browser.eval("document.querySelector('#who button').click()");
    browser.until("document.getElementById('cold').textContent.includes('does not know')");
    let before = browser.eval(ITEMS);
    let chosen = before[2].as_str().expect("an item").to_string();
    browser.eval("document.querySelectorAll('#list button')[2].click()");
    browser.until(&format!("JSON.stringify({ITEMS}) !== {}", json!(before.to_string())));
    browser.until("document.querySelectorAll('#picture svg rect').length === 1");
    assert!(browser.eval("document.querySelector('#picture').textContent").as_str().expect("text").contains(&chosen));
    browser.eval(&format!("document.getElementById('item').value = {}", json!(world().item(5))));
    browser.eval("document.querySelector('#add button').click()");
    browser.until("document.querySelectorAll('#picture svg rect').length === 2");
    assert_eq!(browser.eval("document.getElementById('error').textContent"), json!(""));
    assert!(
        browser.eval("document.querySelectorAll('#list .moved').length").as_u64() > Some(0),
        "what moved is marked"
    );
    // What the page shows is what the server says.
    let said = live.post("/recommend", json!({ "user": "<b>somebody</b> new", "top": 10 })).ok();
    assert_eq!(browser.eval(ITEMS), json!(crate::names(&said)));
    // A mistake is told.
    browser.eval("document.getElementById('user').value = 'x'.repeat(300)");
    browser.eval("document.querySelector('#who').onsubmit(new Event('submit'))");
    browser.until("document.getElementById('error').textContent.includes('a name of 300 characters')");
    // Nothing from elsewhere.
    let loaded = browser.eval("performance.getEntriesByType('resource').map((e) => new URL(e.name).host)");
    let hosts = loaded.as_array().expect("a list");
    assert!(!hosts.is_empty() && hosts.iter().all(|h| *h == json!(live.address.to_string())), "{hosts:?}");
}
