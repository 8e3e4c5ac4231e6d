//! Pages that need nothing but themselves: style, script and data are inside.

use serde::Serialize;

/// A page before it is filled in.
pub struct Template {
    /// The page, with `{{title}}`, `{{style}}`, `{{script}}` and `{{data}}`.
    pub page: &'static str,
    /// Its script.
    pub script: &'static str,
}

impl Template {
    /// The page with this title and this data, as JSON.
    pub fn fill(&self, title: &str, data: &impl Serialize) -> serde_json::Result<String> {
        // In JSON a `<` is only ever inside a string, where it may be written like this.
        let data = serde_json::to_string(data)?.replace('<', "\\u003c");
        let title = title.replace('&', "&amp;").replace('<', "&lt;");
        let page = self.page.replace("{{style}}", STYLE);
        let page = page.replace("{{script}}", self.script);
        // The data is the last: nothing inside it is taken for a place to fill in.
        Ok(page.replace("{{title}}", &title).replace("{{data}}", &data))
    }
}

const STYLE: &str = include_str!("assets/style.css");
