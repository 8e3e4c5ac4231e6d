//! HTML pages that embed their style, script and data.

use serde::Serialize;

/// Template of a page.
pub struct Template {
    /// The HTML, with the placeholders `{{title}}`, `{{style}}`, `{{script}}` and `{{data}}`.
    pub page: &'static str,
    /// JavaScript of the page.
    pub script: &'static str,
}

impl Template {
    /// Fills in the title and the data.
    pub fn fill(&self, title: &str, data: &impl Serialize) -> serde_json::Result<String> {
        // In JSON, `<` occurs only inside strings. There, the escape sequence has the same meaning.
        let data = serde_json::to_string(data)?.replace('<', "\\u003c");
        let title = title.replace('&', "&amp;").replace('<', "&lt;");
        let page = self.page.replace("{{style}}", STYLE);
        let page = page.replace("{{script}}", self.script);
        // The data is inserted last, so that a placeholder inside the data is not replaced.
        Ok(page.replace("{{title}}", &title).replace("{{data}}", &data))
    }
}

const STYLE: &str = include_str!("assets/style.css");
