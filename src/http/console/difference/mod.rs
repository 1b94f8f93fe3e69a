//! What changes from one text to another, line by line.

/// So many pairs of lines are compared at most; beyond that all is shown as replaced.
const MOST: usize = 4_000_000;

/// So many lines are shown around what changes.
const AROUND: usize = 3;

/// A line, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// `+`, `-`, or a space; `…` where lines are left out that stay.
    pub(super) sign: char,
    pub(super) text: String,
}

impl Line {
    fn new(sign: char, text: &str) -> Self {
        Self {
            sign,
            text: super::cells::shown(text),
        }
    }

    /// Which words say the same as the sign.
    pub(super) fn tone(&self) -> &'static str {
        match self.sign {
            '+' => "look",
            '-' => "bad",
            _ => "none",
        }
    }
}

/// The lines that change, with some around them.
pub(super) fn lines(old: &str, new: &str) -> Vec<Line> {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let head = old.iter().zip(&new).take_while(same).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let ends = old_rest.iter().rev().zip(new_rest.iter().rev());
    let tail = ends.take_while(same).count();
    let (from, to) = (
        &old_rest[..old_rest.len() - tail],
        &new_rest[..new_rest.len() - tail],
    );
    let stay = |it: &&str| Line::new(' ', it);
    let mut all: Vec<Line> = old[..head].iter().map(stay).collect();
    all.extend(replaced(from, to));
    all.extend(old_rest[old_rest.len() - tail..].iter().map(stay));
    near(&all)
}

/// By the longest common subsequence.
fn replaced(from: &[&str], to: &[&str]) -> Vec<Line> {
    let (gone, new) = (
        |it: &&str| Line::new('-', it),
        |it: &&str| Line::new('+', it),
    );
    let width = to.len() + 1;
    if from.len().saturating_mul(to.len()) > MOST {
        return from.iter().map(gone).chain(to.iter().map(new)).collect();
    }
    let mut common = vec![0_u32; (from.len() + 1) * width];
    for (i, a) in from.iter().enumerate().rev() {
        for (j, b) in to.iter().enumerate().rev() {
            common[i * width + j] = if a == b {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < from.len() && j < to.len() {
        if from[i] == to[j] {
            lines.push(Line::new(' ', from[i]));
            (i, j) = (i + 1, j + 1);
        } else if common[(i + 1) * width + j] >= common[i * width + j + 1] {
            lines.push(gone(&from[i]));
            i += 1;
        } else {
            lines.push(new(&to[j]));
            j += 1;
        }
    }
    lines.extend(from[i..].iter().map(gone));
    lines.extend(to[j..].iter().map(new));
    lines
}

/// Without what stays, but for what is near to a change.
fn near(all: &[Line]) -> Vec<Line> {
    let changes = |it: &Line| it.sign != ' ';
    let mut shown = Vec::new();
    for (at, line) in all.iter().enumerate() {
        let around = at.saturating_sub(AROUND)..all.len().min(at + AROUND + 1);
        if all[around].iter().any(changes) {
            shown.push(line.clone());
        } else if shown.last().is_none_or(|it: &Line| it.sign != '…') {
            shown.push(Line::new('…', ""));
        }
    }
    shown
}

#[cfg(test)]
mod tests;
