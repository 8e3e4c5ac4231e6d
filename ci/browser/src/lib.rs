//! A page in a real browser, with everything that it complains of.

use anyhow::{Context, Result, anyhow, ensure};
use headless_chrome::browser::tab::Tab;
use headless_chrome::protocol::cdp::Emulation::{MediaFeature, SetEmulatedMedia};
use headless_chrome::protocol::cdp::Network;
use headless_chrome::protocol::cdp::Page::CaptureScreenshotFormatOption;
use headless_chrome::protocol::cdp::types::Event;
use headless_chrome::{Browser, LaunchOptions};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Every wait for the browser ends by then, with an error.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where the models leave their pages, as seen from this crate.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/interlatch")
}

/// A browser of its own, without a window.
pub struct Window {
    browser: Browser,
}

impl Window {
    /// Starts one; it ends with this value.
    pub fn open() -> Result<Self> {
        let options = LaunchOptions::default_builder()
            // The tests open files of this project only, and may run as root.
            .sandbox(false)
            .window_size(Some((1400, 1000)))
            .idle_browser_timeout(TIMEOUT * 4)
            .build()?;
        let browser = Browser::new(options).context("chromium starts")?;
        Ok(Self { browser })
    }

    /// Opens a page of the folder.
    pub fn visit(&self, name: &str) -> Result<Page> {
        let tab = self.browser.new_tab()?;
        tab.set_default_timeout(TIMEOUT);
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let listener = complaints.clone();
        tab.add_event_listener(Arc::new(move |event: &Event| {
            if let Some(complaint) = complaint(event) {
                let mut all = listener.lock().unwrap_or_else(PoisonError::into_inner);
                all.push(complaint);
            }
        }))?;
        tab.enable_runtime()?;
        tab.call_method(Network::Enable {
            max_total_buffer_size: None,
            max_resource_buffer_size: None,
            max_post_data_size: None,
            report_direct_socket_traffic: None,
            enable_durable_messages: None,
        })?;
        let page = Page { tab, complaints };
        page.go(name)?;
        Ok(page)
    }
}

/// An exception of the page's script, or a request to anywhere but a file.
fn complaint(event: &Event) -> Option<String> {
    match event {
        Event::RuntimeExceptionThrown(thrown) => {
            Some(format!("{:?}", thrown.params.exception_details))
        }
        Event::NetworkRequestWillBeSent(sent) => {
            let url = &sent.params.request.url;
            let is_inside = url.starts_with("file:") || url.starts_with("data:");
            (!is_inside).then(|| format!("it asks for {url}"))
        }
        _ => None,
    }
}

/// A page that is open.
pub struct Page {
    tab: Arc<Tab>,
    complaints: Arc<Mutex<Vec<String>>>,
}

impl Page {
    /// Goes on to another page of the folder, and waits until its script has run.
    pub fn go(&self, name: &str) -> Result<()> {
        let path = folder().join(name).canonicalize();
        let path = path.with_context(|| format!("{name}: the models leave it"))?;
        let address = format!("file://{}", path.display());
        self.tab.navigate_to(&address)?;
        self.wait_for(&format!(
            "document.readyState === 'complete' && location.href.startsWith('{address}')"
        ))
    }

    /// What an expression of the page's script is.
    pub fn ask(&self, expression: &str) -> Result<Value> {
        let json = format!("JSON.stringify({expression})");
        let answer = self.tab.evaluate(&json, false)?;
        let text = answer.value.as_ref().and_then(Value::as_str);
        let text = text.ok_or_else(|| anyhow!("{expression} is {:?}", answer.description))?;
        Ok(serde_json::from_str(text)?)
    }

    /// Waits until this is true.
    pub fn wait_for(&self, expression: &str) -> Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        // While a page goes and the next one comes there is nobody to ask.
        while self.ask(expression).ok() != Some(Value::Bool(true)) {
            ensure!(Instant::now() < deadline, "it never holds: {expression}");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// As [`ask`](Self::ask), of a number.
    pub fn count(&self, expression: &str) -> Result<u64> {
        let answer = self.ask(expression)?;
        let number = answer.as_u64();
        number.ok_or_else(|| anyhow!("{expression} is {answer}: expected a number"))
    }

    /// As [`ask`](Self::ask), of a text.
    pub fn text(&self, expression: &str) -> Result<String> {
        let answer = self.ask(expression)?;
        let text = answer.as_str().map(str::to_owned);
        text.ok_or_else(|| anyhow!("{expression} is {answer}: expected a text"))
    }

    /// Presses keys, one after the other.
    pub fn press(&self, keys: &[&str]) -> Result<()> {
        keys.iter()
            .try_for_each(|key| self.tab.press_key(key).map(|_| ()))
    }

    /// Clicks on the first element that matches.
    pub fn click(&self, selector: &str) -> Result<()> {
        self.tab.wait_for_element(selector)?.click()?;
        Ok(())
    }

    /// Shows the page as to someone who prefers dark ones.
    pub fn darken(&self) -> Result<()> {
        let dark = MediaFeature {
            name: "prefers-color-scheme".into(),
            value: "dark".into(),
        };
        self.tab.call_method(SetEmulatedMedia {
            media: None,
            features: Some(vec![dark]),
        })?;
        Ok(())
    }

    /// Leaves a picture of it in the folder.
    pub fn photograph(&self, name: &str) -> Result<()> {
        let png = CaptureScreenshotFormatOption::Png;
        let picture = self.tab.capture_screenshot(png, None, None, true)?;
        std::fs::write(folder().join(name), picture)?;
        Ok(())
    }

    /// The page has complained of nothing.
    pub fn has_no_complaints(&self) -> Result<()> {
        let all = self
            .complaints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        ensure!(all.is_empty(), "the page complains: {all:#?}");
        Ok(())
    }
}
