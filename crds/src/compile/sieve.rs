//! `MtaSieveScript` and `MtaSieveInterpreter`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use postern_core::expr::Scope;
use postern_core::policy::filter::{Program, ScriptError, SieveInterpreter, SieveScript};

use super::context::{Compiler, Context};
use super::only;
use crate::kinds::sieve_interpreter::{OnError, SieveInterpreterSpec};
use crate::kinds::sieve_script::SieveScriptSpec;
use crate::load::Object;
use crate::node::Trail;
use crate::sieve::{self, Finding, Include, Require};
use crate::suggest::closest;

const SPEC: &Trail<'static> = &Trail::SPEC;

impl Compiler<'_> {
    /// Active scripts by lower-cased name.
    pub(super) fn scripts(&mut self, no_capability_check: bool) -> HashMap<Box<str>, Arc<SieveScript>> {
        let require = if no_capability_check { Require::Optional } else { Require::Needed };
        let known: HashSet<String> = self
            .set
            .scripts
            .iter()
            .filter(|object| object.spec.is_active)
            .map(|object| name_of(object).to_lowercase())
            .collect();
        let mut scripts: HashMap<Box<str>, Arc<SieveScript>> = HashMap::new();
        let mut owners: HashMap<Box<str>, Arc<str>> = HashMap::new();
        for object in &self.set.scripts {
            let mut context = self.at(object);
            let program = context.program(&object.spec, require, &known);
            if !object.spec.is_active {
                continue;
            }
            let name = name_of(object);
            let key: Box<str> = name.to_lowercase().into();
            if let Some(other) = owners.insert(key.clone(), Arc::clone(&object.name)) {
                let message = format!("MtaSieveScript/{other} is active under the name `{name}` too");
                context.conflict(&SPEC.key("name"), message);
            }
            if let Some(program) = program {
                scripts.insert(key, Arc::new(SieveScript { name, program }));
            }
        }
        scripts
    }

    pub(super) fn interpreter(&mut self) -> SieveInterpreter {
        let Some(object) = only(&self.set.interpreter) else { return SieveInterpreter::default() };
        self.at(object).interpreter(&object.spec)
    }
}

fn name_of(object: &Object<SieveScriptSpec>) -> Arc<str> {
    object.spec.name.as_deref().map_or_else(|| Arc::clone(&object.name), Arc::from)
}

impl Context<'_> {
    /// What the script compiles to; every fault in it is reported where it is.
    fn program(
        &mut self,
        spec: &SieveScriptSpec,
        require: Require,
        known: &HashSet<String>,
    ) -> Option<Program> {
        let contents = self.script_contents(spec)?;
        let at = match spec.contents {
            Some(_) => SPEC.key("contents").path(),
            None => SPEC.key("configMapKeyRef").path(),
        };
        match sieve::compile(&contents, require) {
            Ok(script) => {
                for Include { name, line, column } in &script.includes {
                    if !known.contains(&name.to_lowercase()) {
                        let suggestion = closest(name, known.iter().map(String::as_str)).map(str::to_owned);
                        let message = format!("there is no active script `{name}`");
                        self.missing_inside(&at, *line, *column, message, suggestion);
                    }
                }
                Some(Program::new(Arc::new(script)))
            }
            Err(findings) => {
                for Finding { line, column, message, suggestion } in findings {
                    self.fault_inside(&at, line, column, message, suggestion);
                }
                None
            }
        }
    }

    fn script_contents(&mut self, spec: &SieveScriptSpec) -> Option<Arc<str>> {
        match (&spec.contents, &spec.config_map_key_ref) {
            (Some(contents), None) => Some(contents.as_str().into()),
            (None, Some(reference)) => self.config_map_key(&SPEC.key("configMapKeyRef"), reference),
            (None, None) => {
                self.fault(&SPEC.key("contents"), "is required, or `configMapKeyRef`");
                None
            }
            (Some(_), Some(_)) => {
                self.fault(&SPEC.key("configMapKeyRef"), "does not go with `contents`; give one of them");
                None
            }
        }
    }

    fn interpreter(&mut self, spec: &SieveInterpreterSpec) -> SieveInterpreter {
        let mut interpreter = SieveInterpreter::default();
        let five_minutes = Duration::from_secs(300);
        let wall =
            self.span(&SPEC.key("maxWallTime"), spec.max_wall_time, Duration::from_millis(1), five_minutes);
        interpreter.max_cpu_cycles = self.number(&SPEC.key("maxCpuCycles"), spec.max_cpu_cycles, 1, u64::MAX);
        interpreter.max_nested_includes =
            self.number(&SPEC.key("maxNestedIncludes"), spec.max_nested_includes, 0, 10);
        interpreter.max_redirects = self.number(&SPEC.key("maxRedirects"), spec.max_redirects, 0, 1000);
        interpreter.max_out_messages =
            self.number(&SPEC.key("maxOutMessages"), spec.max_out_messages, 0, 1000);
        interpreter.max_received_headers =
            self.number(&SPEC.key("maxReceivedHeaders"), spec.max_received_headers, 1, 1000);
        interpreter.max_var_size = self.number(&SPEC.key("maxVarSize"), spec.max_var_size, 1, u64::MAX);
        interpreter.no_capability_check = spec.no_capability_check;
        interpreter.on_error = match spec.on_error {
            OnError::TempFail => ScriptError::TempFail,
            OnError::Keep => ScriptError::Keep,
        };
        interpreter.max_wall_time = wall;
        interpreter.max_output_size =
            self.number(&SPEC.key("maxOutputSize"), spec.max_output_size, 1, u64::MAX);
        let connection = Scope::Connection;
        let at = SPEC.key("defaultFromAddress");
        self.apply(&at, &spec.default_from_address, connection, &mut interpreter.default_from_address);
        let at = SPEC.key("defaultFromName");
        self.apply(&at, &spec.default_from_name, connection, &mut interpreter.default_from_name);
        let at = SPEC.key("defaultReturnPath");
        self.apply(&at, &spec.default_return_path, connection, &mut interpreter.default_return_path);
        self.refuse_signing(&SPEC.key("dkimSignDomain"), &spec.dkim_sign_domain, connection);
        let hostname = spec.message_id_hostname.as_deref();
        interpreter.message_id_hostname =
            hostname.and_then(|name| self.domain_name(&SPEC.key("messageIdHostname"), name));
        interpreter
    }
}
