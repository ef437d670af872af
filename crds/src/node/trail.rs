//! Paths of fields: `spec.rewrite.match[2].if`.

use std::fmt;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// A path that is kept. Made only when there is something to report.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Path(Vec<Step>);

impl Path {
    pub(crate) fn steps(&self) -> &[Step] {
        &self.0
    }

    pub(crate) fn push(&mut self, step: Step) {
        self.0.push(step);
    }

    /// Whether this path is `prefix` or something inside it.
    pub(crate) fn is_within(&self, prefix: &Self) -> bool {
        self.0.starts_with(&prefix.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if index == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A path under way: a list of steps on the stack that costs nothing until somebody asks for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trail<'a> {
    parent: Option<&'a Trail<'a>>,
    step: Hop<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Hop<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Trail<'a> {
    /// `spec`
    pub(crate) const SPEC: Trail<'static> = Trail { parent: None, step: Hop::Key("spec") };

    /// The field of that name.
    pub(crate) const fn key(&'a self, key: &'a str) -> Trail<'a> {
        Trail { parent: Some(self), step: Hop::Key(key) }
    }

    /// The element at that index, from 0.
    pub(crate) const fn index(&'a self, index: usize) -> Trail<'a> {
        Trail { parent: Some(self), step: Hop::Index(index) }
    }

    /// The path to keep.
    pub(crate) fn path(&self) -> Path {
        let mut steps = Vec::new();
        let mut here = Some(self);
        while let Some(trail) = here {
            match trail.step {
                Hop::Key(key) => steps.push(Step::Key(key.to_owned())),
                Hop::Index(index) => steps.push(Step::Index(index)),
            }
            here = trail.parent;
        }
        steps.reverse();
        Path(steps)
    }
}
