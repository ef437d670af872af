//! What compiling one object needs: a place to report to, and names to resolve.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use postern_core::cause::Cause;
use postern_core::expr::{ConditionalSource, FieldPath, Scope, Setting, Target};

use super::names::Names;
use super::{LoadOptions, Origin};
use crate::fault::{Fault, FaultClass, ObjectRef};
use crate::kinds::{Cardinality, KindSpec};
use crate::load::{Object, ObjectSet, Source};
use crate::node::{Path, Trail};
use crate::suggest::closest;
use crate::value::{Expr, TimeSpan};

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
    /// Something is missing that an object names.
    pub(super) is_dangling: bool,
    pub(super) uses: BTreeSet<Use>,
    pub(super) arms: Vec<Arm>,
}

/// A value of a field with conditions: what tests of a policy ought to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arm {
    /// The field.
    pub field: Cause,
    /// Which of its values: a `then`, or the `else`.
    pub part: FieldPath,
    /// The file, relative to the folder.
    pub file: Option<Arc<str>>,
    /// Its line there, from 1.
    pub line: Option<u32>,
}

/// One object names another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Use {
    /// The object that names.
    pub by: ObjectRef,
    /// The object that is named. Secrets and ConfigMaps are told whether they are there or not.
    pub object: ObjectRef,
    /// The key in a Secret or ConfigMap.
    pub key: Option<Arc<str>>,
}

/// The compilation of a whole set.
pub(super) struct Compiler<'a> {
    pub(super) set: &'a ObjectSet,
    pub(super) names: &'a Names<'a>,
    pub(super) options: &'a LoadOptions,
    pub(super) report: &'a mut Report,
}

impl<'a> Compiler<'a> {
    /// The context of one object.
    pub(super) fn at<'b, T: KindSpec>(&'b mut self, object: &'b Object<T>) -> Context<'b>
    where
        'a: 'b,
    {
        Context {
            cause: match T::CARDINALITY {
                Cardinality::Singleton => Cause::singleton(T::KIND),
                Cardinality::Many => Cause::object(T::KIND, Arc::clone(&object.name)),
            },
            object: object.reference(),
            source: &object.source,
            names: self.names,
            options: self.options,
            report: self.report,
        }
    }
}

/// The compilation of one object.
pub(super) struct Context<'a> {
    cause: Cause,
    pub(super) object: ObjectRef,
    pub(super) source: &'a Source,
    pub(super) names: &'a Names<'a>,
    pub(super) options: &'a LoadOptions,
    report: &'a mut Report,
}

impl Context<'_> {
    /// The object is wrong at `at`.
    pub(super) fn fault(&mut self, at: &Trail<'_>, message: impl Into<String>) {
        self.push(FaultClass::Own, &at.path(), message.into(), None);
    }

    /// As [`fault`](Self::fault), for a path that is at hand.
    pub(super) fn fault_at(&mut self, path: &Path, message: impl Into<String>) {
        self.push(FaultClass::Own, path, message.into(), None);
    }

    /// The path of a member of a set, which was read in another order than it is kept in.
    pub(super) fn element(&self, at: &Trail<'_>, member: &str) -> Path {
        let path = at.path();
        match self.source.index_of(&path, member) {
            Some(index) => at.index(index).path(),
            None => path,
        }
    }

    /// Whether what was written at `at` is what is compiled, and no stand-in for something wrong.
    pub(super) fn is_trusted(&self, at: &Trail<'_>) -> bool {
        !self.source.is_untrusted(&at.path())
    }

    /// The object does not go together with another one.
    pub(super) fn conflict(&mut self, at: &Trail<'_>, message: impl Into<String>) {
        self.push(FaultClass::Conflict, &at.path(), message.into(), None);
    }

    /// The object is allowed, and perhaps not meant.
    pub(super) fn warn(&mut self, at: &Trail<'_>, message: impl Into<String>) {
        let path = at.path();
        if let Some(fault) = self.make(FaultClass::Own, &path, message.into(), None) {
            self.report.warnings.push(fault);
        }
    }

    /// The object names another one, or a key in it.
    pub(super) fn uses(&mut self, kind: &str, name: &str, key: Option<&str>) {
        self.report.uses.insert(Use {
            by: self.object.clone(),
            object: ObjectRef { kind: kind.into(), name: name.into() },
            key: key.map(Arc::from),
        });
    }

    /// The object names something that is not there; `known` is what is.
    pub(super) fn dangling<'k>(
        &mut self,
        at: &Trail<'_>,
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) {
        let path = at.path();
        let message = format!("there is no {what} `{name}`");
        let suggestion = closest(name, known).map(str::to_owned);
        self.missing(&path, message, suggestion);
    }

    /// As [`dangling`](Self::dangling), for a path that is at hand.
    pub(super) fn missing(&mut self, path: &Path, message: String, suggestion: Option<String>) {
        self.report.is_dangling = true;
        let Some(fault) = self.make(FaultClass::Reference, path, message, suggestion) else { return };
        self.tell_missing(fault);
    }

    fn tell_missing(&mut self, fault: Fault) {
        match self.options.origin {
            Origin::Folder => self.report.faults.push(fault),
            Origin::Cluster => self.report.warnings.push(fault),
        }
    }

    fn push(&mut self, class: FaultClass, path: &Path, message: String, suggestion: Option<String>) {
        if let Some(fault) = self.make(class, path, message, suggestion) {
            self.report.faults.push(fault);
        }
    }

    /// The fault, unless its cause was reported already.
    fn make(
        &self,
        class: FaultClass,
        path: &Path,
        message: String,
        suggestion: Option<String>,
    ) -> Option<Fault> {
        if self.source.is_untrusted(path) {
            return None;
        }
        let fault = self.source.fault(class, Some(self.object.clone()), path, false);
        Some(Fault { message, suggestion, ..fault })
    }

    /// A field of the object, as what decides something.
    pub(super) fn cause(&self, at: &Trail<'_>) -> Cause {
        let path = at.path().to_string();
        let below_spec = path.strip_prefix("spec.").unwrap_or(&path);
        self.cause.clone().with_field(below_spec.to_owned())
    }

    /// Notes every value that a field with conditions can have.
    fn arms(&mut self, at: &Trail<'_>, expr: &Expr) {
        let field = self.cause(at);
        let thens = (0..expr.cases.len()).map(FieldPath::Then);
        for part in thens.chain([FieldPath::Else]) {
            let place = self.source.fault(FaultClass::Own, None, &self.part(at, part), false);
            let arm = Arm { field: field.clone(), part, file: place.file, line: place.line };
            self.report.arms.push(arm);
        }
    }

    /// Parses an expression field; none when it is unset or wrong.
    pub(super) fn setting<T: Target>(
        &mut self,
        at: &Trail<'_>,
        expr: &Expr,
        scope: Scope,
    ) -> Option<Setting<T>> {
        let otherwise = expr.otherwise.as_ref()?.0.clone();
        let cases = expr.cases.iter().map(|case| (case.condition.clone(), case.then.0.clone())).collect();
        match Setting::parse(&ConditionalSource { cases, otherwise }, scope) {
            Ok(setting) => {
                if !expr.cases.is_empty() {
                    self.arms(at, expr);
                }
                Some(setting.at(self.cause(at)))
            }
            Err(faults) => {
                for (part, fault) in faults {
                    self.expression_fault(at, part, fault);
                }
                None
            }
        }
    }

    /// Parses an expression field and, when there is one, puts it in the place of the default.
    pub(super) fn apply<T: Target>(
        &mut self,
        at: &Trail<'_>,
        expr: &Expr,
        scope: Scope,
        target: &mut Setting<T>,
    ) {
        if let Some(setting) = self.setting(at, expr, scope) {
            *target = setting;
        }
    }

    fn expression_fault(&mut self, at: &Trail<'_>, part: FieldPath, fault: postern_core::expr::Fault) {
        let path = self.part(at, part);
        self.fault_inside(&path, fault.line, fault.column, fault.message, fault.suggestion);
    }

    /// The text at `path` is wrong at that line and column of it.
    pub(super) fn fault_inside(
        &mut self,
        path: &Path,
        line: u32,
        column: u32,
        message: String,
        suggestion: Option<String>,
    ) {
        if let Some(fault) = self.make(FaultClass::Own, path, message, suggestion) {
            let fault = self.placed(fault, path, line, column);
            self.report.faults.push(fault);
        }
    }

    /// The text at `path` names something there that does not exist.
    pub(super) fn missing_inside(
        &mut self,
        path: &Path,
        line: u32,
        column: u32,
        message: String,
        suggestion: Option<String>,
    ) {
        self.report.is_dangling = true;
        let Some(fault) = self.make(FaultClass::Reference, path, message, suggestion) else { return };
        let fault = self.placed(fault, path, line, column);
        self.tell_missing(fault);
    }

    fn placed(&self, fault: Fault, path: &Path, line: u32, column: u32) -> Fault {
        let inside = self.source.inside(path, line, column);
        let place = inside.map_or((fault.line, fault.column), |(line, column)| (Some(line), Some(column)));
        Fault { line: place.0, column: place.1, position_in_source: Some((line, column)), ..fault }
    }

    /// The path of a part of an expression field. A bare scalar is its own `else`.
    pub(super) fn part(&self, at: &Trail<'_>, part: FieldPath) -> Path {
        let cases = at.key("match");
        match part {
            FieldPath::If(index) => cases.index(index).key("if").path(),
            FieldPath::Then(index) => cases.index(index).key("then").path(),
            FieldPath::Else => {
                let long = at.key("else").path();
                if self.source.has(&long) { long } else { at.path() }
            }
        }
    }

    /// A span of time between `least` and `most`.
    pub(super) fn span(
        &mut self,
        at: &Trail<'_>,
        span: TimeSpan,
        least: Duration,
        most: Duration,
    ) -> Duration {
        if span.0 < least || span.0 > most {
            let message = format!("{span} is not between {} and {}", TimeSpan(least), TimeSpan(most));
            self.fault(at, message);
        }
        span.0
    }

    /// A limit for something that is waited for: `1ms` to `1h`.
    pub(super) fn timeout(&mut self, at: &Trail<'_>, span: TimeSpan) -> Duration {
        self.span(at, span, Duration::from_millis(1), Duration::from_secs(3600))
    }

    /// A number between `least` and `most`.
    pub(super) fn number<N: PartialOrd + std::fmt::Display + Copy>(
        &mut self,
        at: &Trail<'_>,
        number: N,
        least: N,
        most: N,
    ) -> N {
        if number < least || number > most {
            self.fault(at, format!("{number} is not between {least} and {most}"));
        }
        number
    }
}
