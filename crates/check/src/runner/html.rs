//! Creates HTML pages that embed their style, script and data.

use serde::Serialize;

/// The template of a page.
pub struct Template {
    /// The HTML, with the placeholders `{{title}}`, `{{style}}`, `{{script}}` and `{{data}}`.
    pub page: &'static str,
    /// The page's JavaScript.
    pub script: &'static str,
}

impl Template {
    /// Creates a page by filling in the title and the data.
    pub fn fill(&self, title: &str, data: &impl Serialize) -> serde_json::Result<String> {
        // JSON contains `<` only inside strings. Inside a string, the escape sequence means the
        // same character.
        let data = serde_json::to_string(data)?.replace('<', "\\u003c");
        let title = title.replace('&', "&amp;").replace('<', "&lt;");
        let page = self.page.replace("{{style}}", STYLE);
        let page = page.replace("{{script}}", self.script);
        // The data is inserted last. A placeholder that occurs inside the data is therefore not
        // replaced.
        Ok(page.replace("{{title}}", &title).replace("{{data}}", &data))
    }
}

const STYLE: &str = include_str!("assets/style.css");
