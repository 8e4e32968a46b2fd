//! Reading manifests.

use crate::{commands::canary::error::CanaryError, document::yaml, domain::k8s::json_pointer::part};
use serde_json::{Value, json};
use std::{
    ffi::OsStr,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// An object of a file.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The file.
    pub file: String,
    /// The object.
    pub object: Value,
    /// Whether the file names its namespace.
    pub is_placed: bool,
}

impl Manifest {
    /// The object without the namespace that it got here.
    #[must_use]
    pub fn as_written(&self) -> Value {
        let mut object = self.object.clone();
        if let (false, Some(metadata)) =
            (self.is_placed, object.get_mut("metadata").and_then(Value::as_object_mut))
        {
            metadata.remove("namespace");
        }
        object
    }
}

/// Manifests that belong together, as if they were all applied.
#[derive(Debug, Default)]
pub struct Manifests {
    /// The objects.
    pub all: Vec<Manifest>,
}

impl Manifests {
    /// Reads files, folders (every `.yaml`, `.yml` and `.json` in them) and, as `-`, the standard input. Objects without a
    /// namespace get `namespace`.
    ///
    /// # Errors
    /// A file that cannot be read, or is not YAML.
    pub fn read(paths: &[PathBuf], namespace: &str) -> Result<Self, CanaryError> {
        let mut manifests = Self::default();
        for path in paths {
            if path.as_os_str() == "-" {
                let mut text = String::new();
                io::stdin().read_to_string(&mut text)?;
                manifests.add("stdin", &text, namespace)?;
                continue;
            }
            for file in files(path)? {
                let name = file.display().to_string();
                let text = fs::read_to_string(&file)
                    .map_err(|error| CanaryError::File(format!("cannot read {name}: {error}")))?;
                manifests.add(&name, &text, namespace)?;
            }
        }
        Ok(manifests)
    }

    fn add(&mut self, file: &str, text: &str, namespace: &str) -> Result<(), CanaryError> {
        for (number, document) in documents(text).enumerate() {
            let value = yaml::parse(&document).map_err(|problem| {
                CanaryError::File(format!("{file}, document {}: {problem}", number + 1))
            })?;
            self.add_object(file, value, namespace);
        }
        Ok(())
    }

    fn add_object(&mut self, file: &str, mut object: Value, namespace: &str) {
        if object.get("kind").and_then(Value::as_str) == Some("List") {
            let items = object.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take);
            items.into_iter().flatten().for_each(|item| self.add_object(file, item, namespace));
            return;
        }
        let is_placed = part(&object, "/metadata/namespace").is_some();
        if object.get("kind").and_then(Value::as_str) != Some("Namespace")
            && let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata.entry("namespace").or_insert_with(|| json!(namespace));
        }
        self.all.push(Manifest { file: file.to_owned(), object, is_placed });
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, CanaryError> {
    let failed = |error: io::Error| CanaryError::File(format!("cannot read {}: {error}", path.display()));
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?.path();
        let is_manifest = |ending: &OsStr| ["yaml", "yml", "json"].iter().any(|known| ending == *known);
        if entry.is_dir() {
            found.extend(files(&entry)?);
        } else if entry.extension().is_some_and(is_manifest) {
            found.push(entry);
        }
    }
    found.sort();
    Ok(found)
}

/// The documents of a YAML file that are not empty.
fn documents(text: &str) -> impl Iterator<Item = String> {
    let mut parts = vec![String::new()];
    for line in text.lines() {
        match parts.last_mut() {
            Some(part) if !line.starts_with("---") => {
                part.push_str(line);
                part.push('\n');
            }
            // What follows the marker on its line belongs to the document.
            _ => parts.push(format!("{}\n", line.trim_start_matches("---").trim_start())),
        }
    }
    let has_content = |part: &String| {
        part.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
    };
    parts.into_iter().filter(has_content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_separated_as_kubectl_separates_them() {
        let text = "# a comment alone\n---\na: 1\n--- # another\nb: |\n  text\n---\n---\n{c: 3}\n";
        assert_eq!(
            documents(text).collect::<Vec<_>>(),
            ["a: 1\n", "# another\nb: |\n  text\n", "{c: 3}\n"]
                .map(|part| format!("\n{part}").replace("\n# another", "# another"))
        );
    }

    #[test]
    fn lists_are_taken_apart_and_objects_get_a_namespace() {
        let mut manifests = Manifests::default();
        let text = "kind: List\nitems: [{kind: Service, metadata: {name: web}}, {kind: Namespace, metadata: {name: shop}}]\n";
        manifests.add("a.yaml", text, "shop").unwrap();
        let found: Vec<Value> = manifests.all.into_iter().map(|manifest| manifest.object).collect();
        let service = json!({"kind": "Service", "metadata": {"name": "web", "namespace": "shop"}});
        assert_eq!(found, [service, json!({"kind": "Namespace", "metadata": {"name": "shop"}})]);
    }

    #[test]
    fn what_is_not_yaml_is_reported_with_its_file_and_document() {
        let problem =
            Manifests::default().add("a.yaml", "a: 1\n---\nb: [\n", "shop").unwrap_err().to_string();
        assert!(problem.starts_with("a.yaml, document 2: "), "{problem}");
    }
}
