//! Tests of a policy: read from the documents beside it, and checked against what the policy has.

mod check;
mod schema;

use crate::fault::{self, Fault, FaultClass};
use crate::kinds::policy_test::PolicyTestSpec;
use crate::load::{Object, ObjectSet};
use crate::node::Path;

pub use self::schema::schema;

impl ObjectSet {
    /// The tests that stand beside the objects, and everything that is wrong with them: their shape, names that the
    /// objects do not have, and expectations that can never hold.
    #[must_use]
    pub fn policy_tests(&self) -> (Vec<Object<PolicyTestSpec>>, Vec<Fault>) {
        self.policy_tests_of(self)
    }

    /// As [`policy_tests`](Self::policy_tests), for tests of objects that stand elsewhere.
    #[must_use]
    pub fn policy_tests_of(&self, policy: &Self) -> (Vec<Object<PolicyTestSpec>>, Vec<Fault>) {
        let (tests, mut faults) = self.read_tests();
        for test in &tests {
            faults.extend(check::faults(test, policy));
        }
        fault::sort(&mut faults);
        (tests, faults)
    }
}

impl Object<PolicyTestSpec> {
    /// A fault of this test at a field below `spec`, for what only running it shows.
    #[must_use]
    pub fn fault(&self, field: &str, message: String) -> Fault {
        let mut path = Path::default();
        path.push(crate::node::Step::Key("spec".to_owned()));
        field.split('.').for_each(|key| path.push(crate::node::Step::Key(key.to_owned())));
        Fault { message, ..self.source.fault(FaultClass::Own, Some(self.reference()), &path, false) }
    }

    /// The file of this test, and its line.
    #[must_use]
    pub fn place(&self) -> (Option<std::sync::Arc<str>>, Option<u32>) {
        let fault = self.source.fault(FaultClass::Own, None, &Path::default(), false);
        (fault.file, fault.line)
    }
}
