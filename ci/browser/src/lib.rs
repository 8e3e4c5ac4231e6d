//! Opens pages in a real browser and records the errors that the pages cause.

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

/// Time limit of every wait for the browser.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the folder into which the models write their pages.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/interlatch")
}

/// A headless browser.
pub struct Window {
    browser: Browser,
}

impl Window {
    /// Starts a browser, which ends when this value is dropped.
    pub fn open() -> Result<Self> {
        let options = LaunchOptions::default_builder()
            // The tests open only files of this project, and they may run as root.
            .sandbox(false)
            .window_size(Some((1400, 1000)))
            .idle_browser_timeout(TIMEOUT * 4)
            .build()?;
        let browser = Browser::new(options).context("cannot start chromium")?;
        Ok(Self { browser })
    }

    /// Opens a page of the output folder.
    pub fn visit(&self, name: &str) -> Result<Page> {
        let tab = self.browser.new_tab()?;
        tab.set_default_timeout(TIMEOUT);
        let errors = Arc::new(Mutex::new(Vec::new()));
        let listener = errors.clone();
        tab.add_event_listener(Arc::new(move |event: &Event| {
            if let Some(error) = error_of(event) {
                let mut all = listener.lock().unwrap_or_else(PoisonError::into_inner);
                all.push(error);
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
        let page = Page { tab, errors };
        page.navigate(name)?;
        Ok(page)
    }
}

/// Returns the error in an event: an exception of the page's script or a network request.
fn error_of(event: &Event) -> Option<String> {
    match event {
        Event::RuntimeExceptionThrown(thrown) => {
            Some(format!("{:?}", thrown.params.exception_details))
        }
        Event::NetworkRequestWillBeSent(sent) => {
            let url = &sent.params.request.url;
            let is_inside = url.starts_with("file:") || url.starts_with("data:");
            (!is_inside).then(|| format!("network request for {url}"))
        }
        _ => None,
    }
}

/// An open page.
pub struct Page {
    tab: Arc<Tab>,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Page {
    /// Opens another page of the output folder and waits until its script has run.
    pub fn navigate(&self, name: &str) -> Result<()> {
        let path = folder().join(name).canonicalize();
        let path = path.with_context(|| format!("the models did not write {name}"))?;
        let address = format!("file://{}", path.display());
        self.tab.navigate_to(&address)?;
        self.wait_for(&format!(
            "document.readyState === 'complete' && location.href.startsWith('{address}')"
        ))
    }

    /// Evaluates a JavaScript expression on the page.
    pub fn evaluate(&self, expression: &str) -> Result<Value> {
        let json = format!("JSON.stringify({expression})");
        let answer = self.tab.evaluate(&json, false)?;
        let text = answer.value.as_ref().and_then(Value::as_str);
        let text = text.ok_or_else(|| anyhow!("{expression} is {:?}", answer.description))?;
        Ok(serde_json::from_str(text)?)
    }

    /// Waits until a JavaScript expression is true.
    pub fn wait_for(&self, expression: &str) -> Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        // During a navigation, the evaluation fails because the page has no JavaScript context.
        while self.evaluate(expression).ok() != Some(Value::Bool(true)) {
            ensure!(
                Instant::now() < deadline,
                "timeout while waiting for {expression}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Evaluates an expression whose value is a number.
    pub fn count(&self, expression: &str) -> Result<u64> {
        let answer = self.evaluate(expression)?;
        let number = answer.as_u64();
        number.ok_or_else(|| anyhow!("{expression} is {answer}: expected a number"))
    }

    /// Evaluates an expression whose value is a string.
    pub fn text(&self, expression: &str) -> Result<String> {
        let answer = self.evaluate(expression)?;
        let text = answer.as_str().map(str::to_owned);
        text.ok_or_else(|| anyhow!("{expression} is {answer}: expected a string"))
    }

    /// Presses these keys on the page, one after the other.
    pub fn press(&self, keys: &[&str]) -> Result<()> {
        keys.iter()
            .try_for_each(|key| self.tab.press_key(key).map(|_| ()))
    }

    /// Clicks the first element that matches the selector.
    pub fn click(&self, selector: &str) -> Result<()> {
        self.tab.wait_for_element(selector)?.click()?;
        Ok(())
    }

    /// Switches the page to its dark color scheme.
    pub fn use_dark_scheme(&self) -> Result<()> {
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

    /// Saves a screenshot of the page in the output folder.
    pub fn screenshot(&self, name: &str) -> Result<()> {
        let png = CaptureScreenshotFormatOption::Png;
        let image = self.tab.capture_screenshot(png, None, None, true)?;
        std::fs::write(folder().join(name), image)?;
        Ok(())
    }

    /// Fails if the page has caused an error.
    pub fn check_errors(&self) -> Result<()> {
        let all = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(all.is_empty(), "the page caused errors: {all:#?}");
        Ok(())
    }
}
