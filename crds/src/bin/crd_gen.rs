//! Writes the custom resource definitions; the reference manual when a second argument names it, and the JSON schema
//! of tests when a third one does.

use std::path::PathBuf;
use std::{env, fs};

use postern_crds::generate::{definitions, reference};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let folder = arguments.next().ok_or("usage: postern-crd-gen FOLDER [REFERENCE.md [TEST.schema.json]]")?;
    let definitions = definitions()?;
    fs::create_dir_all(&folder)?;
    for definition in &definitions {
        fs::write(folder.join(format!("{}.yaml", definition.plural)), definition.yaml()?)?;
    }
    if let Some(page) = arguments.next() {
        fs::write(page, reference(&definitions))?;
    }
    if let Some(file) = arguments.next() {
        fs::write(file, format!("{:#}\n", postern_crds::policy_test_schema()))?;
    }
    Ok(())
}
