//! Text with switches: edits of a source file, and the text after them.

use std::ops::Range;

/// A range of bytes in a source file.
pub type Span = Range<usize>;

/// A replacement of a range by pieces.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The replaced range.
    pub span: Span,
    /// The text that replaces the range.
    pub pieces: Vec<Piece>,
}

/// A part of the text that replaces a range.
#[derive(Clone, Debug)]
pub enum Piece {
    /// New text.
    Text(String),
    /// The text of a range inside the replaced range, with the edits inside it.
    Source(Span),
    /// An expression that is true if this mutant is active.
    Switch(usize),
    /// Pieces that belong to one mutant. A compile error within them is an error of this mutant.
    Of(usize, Vec<Piece>),
}

impl Piece {
    /// New text.
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// The begin and the end of the pieces of a mutant, as comments in the new text.
fn marks(mutant: usize) -> (String, String) {
    (format!("/*<{mutant}*/"), format!("/*>{mutant}*/"))
}

/// Sorts the edits so that each edit comes before the edits inside it.
///
/// Of two edits of one range, the later one in the list becomes the inner one.
pub fn sort(edits: &mut [Edit]) {
    edits.sort_by_key(|edit| (edit.span.start, usize::MAX - edit.span.end));
}

/// Returns the text of a range after the edits, which are sorted and inside the range.
pub fn render(text: &str, span: Span, edits: &[Edit]) -> String {
    let mut output = String::new();
    let (mut at, mut next) = (span.start, 0);
    while let Some(edit) = edits.get(next) {
        let inner = &edits[next + 1..];
        let inner = &inner[..count_inside(inner, &edit.span)];
        output += &text[at..edit.span.start];
        render_pieces(text, &edit.pieces, inner, &mut output);
        at = edit.span.end;
        next += 1 + inner.len();
    }
    output + &text[at..span.end]
}

fn count_inside(edits: &[Edit], span: &Span) -> usize {
    let is_inside = |edit: &&Edit| edit.span.end <= span.end;
    edits.iter().take_while(is_inside).count()
}

fn render_pieces(text: &str, pieces: &[Piece], inner: &[Edit], output: &mut String) {
    for piece in pieces {
        match piece {
            Piece::Text(new) => *output += new,
            Piece::Source(span) => {
                let is_inside =
                    |edit: &&Edit| span.start <= edit.span.start && edit.span.end <= span.end;
                let inside: Vec<Edit> = inner.iter().filter(is_inside).cloned().collect();
                *output += &render(text, span.clone(), &inside);
            }
            Piece::Switch(mutant) => *output += &format!("crate::is_active({mutant})"),
            Piece::Of(mutant, pieces) => {
                let (begin, end) = marks(*mutant);
                *output += &begin;
                render_pieces(text, pieces, inner, output);
                *output += &end;
            }
        }
    }
}

/// Returns the mutants to which a position of the rendered text belongs, the innermost first.
pub fn mutants_at(rendered: &str, position: usize) -> Vec<usize> {
    let mut open = Vec::new();
    let before = &rendered[..position];
    let mut rest = before;
    while let Some(at) = rest.find("/*") {
        rest = &rest[at + 2..];
        let kind = rest.chars().next();
        let Some((number, _)) = rest.get(1..).and_then(|rest| rest.split_once("*/")) else {
            continue;
        };
        match (kind, number.parse()) {
            (Some('<'), Ok(mutant)) => open.push(mutant),
            (Some('>'), Ok(_)) => drop(open.pop()),
            _ => {}
        }
    }
    open.reverse();
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switch(mutant: usize, span: Span) -> Edit {
        let pieces = vec![Piece::text("if "), Piece::Switch(mutant), Piece::text(" {")];
        let pieces = [pieces, vec![Piece::Source(span.clone()), Piece::text("}")]].concat();
        let pieces = vec![Piece::Of(mutant, pieces)];
        Edit { span, pieces }
    }

    #[test]
    fn renders_edits_inside_edits() {
        let text = "a; b; c;";
        let mut edits = [switch(1, 3..8), switch(2, 6..8)];
        sort(&mut edits);
        let rendered = render(text, 0..8, &edits);
        let expected = "a; /*<1*/if crate::is_active(1) {b; /*<2*/if crate::is_active(2) \
                        {c;}/*>2*/}/*>1*/";
        assert_eq!(rendered, expected);
    }

    #[test]
    fn finds_the_mutants_of_a_position() {
        let rendered = "x /*<1*/ a /*<2*/ b /*>2*/ c /*>1*/ y";
        let at = |what| mutants_at(rendered, rendered.find(what).expect("a letter"));
        assert!(at("x").is_empty());
        assert_eq!(at("a"), [1]);
        assert_eq!(at("b"), [2, 1]);
        assert_eq!(at("c"), [1]);
        assert!(at("y").is_empty());
    }
}
