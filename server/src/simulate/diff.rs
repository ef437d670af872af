//! The difference of two texts by lines, in the unified form.

/// Lines that stay around each change.
const CONTEXT: usize = 3;

/// Most lines of a part that is compared line by line; a larger one is shown as replaced.
const MOST_COMPARED: usize = 2_000;

/// One line of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line<'a> {
    Same(&'a str),
    Gone(&'a str),
    New(&'a str),
}

/// The unified diff from one text to another, without file names; empty when they are alike.
pub(super) fn unified(before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    let (before, after): (Vec<_>, Vec<_>) = (lines(before), lines(after));
    hunks(&script(&before, &after))
}

fn lines(text: &str) -> Vec<&str> {
    text.strip_suffix('\n').unwrap_or(text).split('\n').map(|line| line.trim_end_matches('\r')).collect()
}

/// Every line of both, in order.
fn script<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<Line<'a>> {
    let head = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let (rest_before, rest_after) = (before.get(head..).unwrap_or(&[]), after.get(head..).unwrap_or(&[]));
    let tail = rest_before.iter().rev().zip(rest_after.iter().rev()).take_while(|(a, b)| a == b).count();
    let middle_before = rest_before.get(..rest_before.len() - tail).unwrap_or(&[]);
    let middle_after = rest_after.get(..rest_after.len() - tail).unwrap_or(&[]);
    let mut script: Vec<Line<'a>> = before.iter().take(head).map(|line| Line::Same(line)).collect();
    script.extend(middle(middle_before, middle_after));
    script.extend(before.iter().skip(before.len() - tail).map(|line| Line::Same(line)));
    script
}

/// What lies between the common beginning and the common end, by the longest common subsequence.
fn middle<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<Line<'a>> {
    if before.len().max(after.len()) > MOST_COMPARED {
        let gone = before.iter().map(|line| Line::Gone(line));
        return gone.chain(after.iter().map(|line| Line::New(line))).collect();
    }
    let width = after.len() + 1;
    let mut lengths = vec![0_u32; (before.len() + 1) * width];
    let at = |lengths: &[u32], row: usize, column: usize| {
        lengths.get(row * width + column).copied().unwrap_or_default()
    };
    for (row, a) in before.iter().enumerate().rev() {
        for (column, b) in after.iter().enumerate().rev() {
            let length = match a == b {
                true => at(&lengths, row + 1, column + 1) + 1,
                false => at(&lengths, row + 1, column).max(at(&lengths, row, column + 1)),
            };
            if let Some(place) = lengths.get_mut(row * width + column) {
                *place = length;
            }
        }
    }
    let (mut script, mut row, mut column) = (Vec::new(), 0, 0);
    loop {
        match (before.get(row), after.get(column)) {
            (Some(a), Some(b)) if a == b => {
                script.push(Line::Same(a));
                (row, column) = (row + 1, column + 1);
            }
            (Some(a), b) if b.is_none() || at(&lengths, row + 1, column) >= at(&lengths, row, column + 1) => {
                script.push(Line::Gone(a));
                row += 1;
            }
            (_, Some(b)) => {
                script.push(Line::New(b));
                column += 1;
            }
            _ => return script,
        }
    }
}

/// The changed parts with the lines around them.
fn hunks(script: &[Line<'_>]) -> String {
    let is_change = |line: &Line<'_>| !matches!(line, Line::Same(_));
    let mut shown = vec![false; script.len()];
    for (place, _) in script.iter().enumerate().filter(|(_, line)| is_change(line)) {
        let end = (place + CONTEXT + 1).min(script.len());
        shown.iter_mut().take(end).skip(place.saturating_sub(CONTEXT)).for_each(|shown| *shown = true);
    }
    let mut text = String::new();
    let (mut old, mut new) = (1, 1);
    let mut place = 0;
    while place < script.len() {
        let end = place + shown.iter().skip(place).take_while(|shown| **shown).count();
        let hunk = script.get(place..end).unwrap_or(&[]);
        if hunk.is_empty() {
            (old, new, place) = (old + 1, new + 1, place + 1);
            continue;
        }
        let gone = hunk.iter().filter(|line| !matches!(line, Line::New(_))).count();
        let came = hunk.iter().filter(|line| !matches!(line, Line::Gone(_))).count();
        text.push_str(&format!("@@ -{},{gone} +{},{came} @@\n", start(old, gone), start(new, came)));
        for line in hunk {
            let (mark, line) = match line {
                Line::Same(line) => (' ', line),
                Line::Gone(line) => ('-', line),
                Line::New(line) => ('+', line),
            };
            text.push(mark);
            text.push_str(line);
            text.push('\n');
        }
        (old, new, place) = (old + gone, new + came, end);
    }
    text
}

/// The first line of a side; one that has none stands behind the line before.
fn start(next: usize, count: usize) -> usize {
    if count == 0 { next.saturating_sub(1) } else { next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_no_difference() {
        assert_eq!(unified("a\nb\n", "a\nb\n"), "");
    }

    #[test]
    fn a_line_on_top_is_one_hunk_with_three_lines_around() {
        let message = "From: a\r\nTo: b\r\nSubject: c\r\n\r\nbody\r\n";
        let marked = format!("X-A: 1\r\n{message}");
        assert_eq!(unified(message, &marked), "@@ -1,3 +1,4 @@\n+X-A: 1\n From: a\n To: b\n Subject: c\n");
    }

    #[test]
    fn distant_changes_are_hunks_of_their_own() {
        let numbers: Vec<String> = (1..=20).map(|number| number.to_string()).collect();
        let before = numbers.join("\n") + "\n";
        let after = before.replacen("2\n", "two\n", 1).replace("19\n", "");
        assert_eq!(
            unified(&before, &after),
            "@@ -1,5 +1,5 @@\n 1\n-2\n+two\n 3\n 4\n 5\n@@ -16,5 +16,4 @@\n 16\n 17\n 18\n-19\n 20\n"
        );
    }

    #[test]
    fn what_comes_from_nothing_is_all_new() {
        assert_eq!(unified("", "a\n"), "@@ -1,1 +1,1 @@\n-\n+a\n");
    }
}
